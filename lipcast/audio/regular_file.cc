#include "lipcast/audio/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace lipcast::audio {
namespace {

Status FromErrno(const std::string& name, int error) {
  Code code = Code::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) code = Code::kNotFound;
  if (error == EACCES || error == EPERM) code = Code::kPermissionDenied;
  return Status(code, name + ": " + std::strerror(error));
}

}  // namespace

std::string AudioName(const std::filesystem::path& path) { return "audio '" + path.string() + "'"; }

Result<RegularFile> RegularFile::Open(const std::filesystem::path& path) {
  const std::string name = AudioName(path);
  // Not to wait for the writer of a pipe: those are refused below.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return FromErrno(name, errno);
  RegularFile file(descriptor, name);
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) return FromErrno(name, errno);
  if (S_ISDIR(info.st_mode)) {
    return Status(Code::kInvalidArgument, name + ": a directory, want a file");
  }
  if (!S_ISREG(info.st_mode)) {
    return Status(Code::kInvalidArgument,
                  name + ": not a regular file; raw PCM may come through stdin as '-'");
  }
  if (info.st_size == 0) {
    return Status(Code::kInvalidArgument, name + ": an empty file (0 bytes)");
  }
  file.bytes_ = static_cast<uint64_t>(info.st_size);
  return file;
}

RegularFile::RegularFile(RegularFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_),
      name_(std::move(other.name_)) {}

RegularFile::~RegularFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<size_t> RegularFile::ReadAt(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = ::pread(descriptor_, out.data() + done, out.size() - done,
                                  static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FromErrno(name_, errno);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

}  // namespace lipcast::audio
