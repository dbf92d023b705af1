#include "lipcast/media/temp_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace lipcast::media {
namespace {

constexpr int kMaxTempNames = 10'000;

Status Exists(const std::filesystem::path& path) {
  return Status(Code::kAlreadyExists,
                "'" + path.string() + "' exists: want a new name, or leave to overwrite it");
}

}  // namespace

Status ErrnoStatus(int error, const std::string& what) {
  Code code = Code::kUnknown;
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      code = Code::kNotFound;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = Code::kPermissionDenied;
      break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
      code = Code::kResourceExhausted;
      break;
    case EEXIST:
      code = Code::kAlreadyExists;
      break;
    case ENAMETOOLONG:
    case EISDIR:
    case EINVAL:
      code = Code::kInvalidArgument;
      break;
    case EPIPE:
      code = Code::kCancelled;
      break;
    default:
      break;
  }
  char buffer[256];
  return Status(code, what + ": " + strerror_r(error, buffer, sizeof buffer));
}

Status WriteAll(int fd, const void* data, size_t size, const std::string& target) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd, at, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, errno == EPIPE ? "'" + target + "': the reader closed the pipe"
                                               : "'" + target + "': write");
    }
    at += written;
    size -= static_cast<size_t>(written);
  }
  return Status();
}

Result<TempFile> TempFile::Create(const std::filesystem::path& final_path, bool overwrite) {
  const std::string shown = "'" + final_path.string() + "'";
  struct stat info = {};
  if (::stat(final_path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      return Status(Code::kInvalidArgument, shown + " is a folder: want a file name");
    }
    if (!S_ISREG(info.st_mode)) {
      return Status(Code::kInvalidArgument, shown + " is not a regular file: want a file name");
    }
    if (!overwrite) return Exists(final_path);
  } else if (errno != ENOENT) {
    return ErrnoStatus(errno, "cannot write " + shown);
  }
  if (!final_path.has_filename()) {
    return Status(Code::kInvalidArgument, shown + " has no file name");
  }
  // A name that is too long would otherwise only be noticed by the rename at the end.
  if (final_path.filename().string().size() > 255) {
    return ErrnoStatus(ENAMETOOLONG, "cannot write " + shown);
  }

  TempFile file;
  file.final_path_ = final_path;
  file.overwrite_ = overwrite;
  const std::string stem = ".lipcast-" + std::to_string(::getpid()) + "-";
  for (int i = 0; i < kMaxTempNames; ++i) {
    auto candidate = final_path.parent_path() / (stem + std::to_string(i) + ".part");
    file.fd_ = ::open(candidate.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.fd_ >= 0) {
      file.temp_path_ = std::move(candidate);
      return file;
    }
    if (errno != EEXIST) return ErrnoStatus(errno, "cannot write " + shown);
  }
  return Status(Code::kResourceExhausted, "cannot write " + shown + ": " +
                                              std::to_string(kMaxTempNames) +
                                              " temporary names are taken in that folder");
}

TempFile::TempFile(TempFile&& other) noexcept
    : final_path_(std::move(other.final_path_)),
      temp_path_(std::exchange(other.temp_path_, {})),
      fd_(std::exchange(other.fd_, -1)),
      overwrite_(other.overwrite_) {}

TempFile& TempFile::operator=(TempFile&& other) noexcept {
  if (this != &other) {
    Abandon();
    final_path_ = std::move(other.final_path_);
    temp_path_ = std::exchange(other.temp_path_, {});
    fd_ = std::exchange(other.fd_, -1);
    overwrite_ = other.overwrite_;
  }
  return *this;
}

TempFile::~TempFile() { Abandon(); }

void TempFile::Abandon() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  if (!temp_path_.empty()) ::unlink(temp_path_.c_str());
  temp_path_.clear();
}

Status TempFile::Commit() {
  LC_ENSURE(!temp_path_.empty());
  const std::string shown = "'" + final_path_.string() + "'";
  if (::close(std::exchange(fd_, -1)) != 0) return ErrnoStatus(errno, shown + ": close");
  int failed = ::renameat2(AT_FDCWD, temp_path_.c_str(), AT_FDCWD, final_path_.c_str(),
                           overwrite_ ? 0 : RENAME_NOREPLACE);
  if (failed != 0 && !overwrite_ && (errno == EINVAL || errno == ENOSYS)) {
    // This file system cannot refuse to replace: link() can.
    failed = ::link(temp_path_.c_str(), final_path_.c_str());
    if (failed == 0) ::unlink(temp_path_.c_str());
  }
  if (failed != 0) {
    if (errno == EEXIST) return Exists(final_path_);
    return ErrnoStatus(errno, shown + ": rename");
  }
  temp_path_.clear();
  return Status();
}

}  // namespace lipcast::media
