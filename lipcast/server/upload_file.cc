#include "lipcast/server/upload_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

namespace lipcast::server {
namespace {

Status Failed(const std::string& what, int error) {
  const bool full = error == ENOSPC || error == EDQUOT;
  return Status(full ? Code::kResourceExhausted : Code::kInternal,
                what + ": " + std::generic_category().message(error));
}

}  // namespace

Result<std::unique_ptr<UploadFolder>> UploadFolder::Create(const std::filesystem::path& parent) {
  std::error_code error;
  std::filesystem::path place =
      parent.empty() ? std::filesystem::temp_directory_path(error) : parent;
  if (error) return Failed("the folder for temporary files", error.value());
  std::string name = (place / "lipcast-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) return Failed("a folder for uploads, " + name, errno);
  return std::unique_ptr<UploadFolder>(new UploadFolder(name));
}

UploadFolder::~UploadFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Result<std::shared_ptr<UploadFile>> UploadFile::Create(const UploadFolder& folder) {
  std::string name = (folder.path() / "upload-XXXXXX").string();
  const int file = ::mkostemp(name.data(), O_CLOEXEC);
  if (file < 0) return Failed("a file for an upload, " + name, errno);
  return std::shared_ptr<UploadFile>(new UploadFile(name, file));
}

UploadFile::~UploadFile() {
  ::close(file_);
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

Status UploadFile::Append(std::string_view piece) {
  while (!piece.empty()) {
    const ssize_t written = ::write(file_, piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("the upload cannot be written", errno);
    piece.remove_prefix(static_cast<size_t>(written));
    bytes_ += static_cast<uint64_t>(written);
  }
  return {};
}

}  // namespace lipcast::server
