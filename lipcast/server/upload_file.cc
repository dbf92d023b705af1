#include "lipcast/server/upload_file.h"

#include "lipcast/server/refusal.h"

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
  const std::string text = what + ": " + std::generic_category().message(error);
  return full ? refusal::Exhausted(refusal::kDisk, text) : Status(Code::kInternal, text);
}

}  // namespace

bool DiskShare::Fits(int64_t bytes) const {
  const std::lock_guard lock(mu_);
  return bytes <= limit_bytes_ - used_;
}

int64_t DiskShare::used() const {
  const std::lock_guard lock(mu_);
  return used_;
}

bool DiskShare::TryTake(int64_t bytes) {
  const std::lock_guard lock(mu_);
  if (bytes > limit_bytes_ - used_) return false;
  used_ += bytes;
  return true;
}

Status DiskShare::Take(int64_t bytes) {
  if (TryTake(bytes)) return {};
  if (make_room_) make_room_(bytes);
  if (TryTake(bytes)) return {};
  return refusal::Exhausted(refusal::kDisk, full_);
}

void DiskShare::GiveBack(int64_t bytes) {
  const std::lock_guard lock(mu_);
  used_ -= bytes;
}

DiskHold::~DiskHold() {
  if (bytes_ > 0) share_->GiveBack(bytes_);
}

Status DiskHold::Resize(int64_t bytes) {
  if (bytes > bytes_) {
    LC_RETURN_IF_ERROR(share_->Take(bytes - bytes_));
  } else {
    share_->GiveBack(bytes_ - bytes);
  }
  bytes_ = bytes;
  return {};
}

FinishedFile::~FinishedFile() {
  std::error_code gone;
  std::filesystem::remove(path_, gone);
}

Result<std::unique_ptr<UploadFolder>> UploadFolder::Create(const std::filesystem::path& parent,
                                                           int64_t limit_bytes, std::string full) {
  std::error_code error;
  std::filesystem::path place =
      parent.empty() ? std::filesystem::temp_directory_path(error) : parent;
  if (error) return Failed("the folder for temporary files", error.value());
  std::string name = (place / "lipcast-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) return Failed("a folder for uploads, " + name, errno);
  return std::unique_ptr<UploadFolder>(new UploadFolder(name, limit_bytes, std::move(full)));
}

UploadFolder::~UploadFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Result<std::shared_ptr<UploadFile>> UploadFile::Create(const UploadFolder& folder) {
  std::string name = (folder.path() / "upload-XXXXXX").string();
  const int file = ::mkostemp(name.data(), O_CLOEXEC);
  if (file < 0) return Failed("a file for an upload, " + name, errno);
  return std::shared_ptr<UploadFile>(new UploadFile(name, file, folder.share()));
}

UploadFile::~UploadFile() {
  ::close(file_);
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

Status UploadFile::Append(std::string_view piece) {
  LC_RETURN_IF_ERROR(hold_.Resize(static_cast<int64_t>(bytes_ + piece.size())));
  while (!piece.empty()) {
    const ssize_t written = ::write(file_, piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("the upload cannot be written", errno);
    piece.remove_prefix(static_cast<size_t>(written));
    bytes_ += static_cast<uint64_t>(written);
  }
  return {};
}

std::string WithoutPath(std::string text, const std::filesystem::path& path,
                        const std::string& name) {
  for (const std::string& shown : {"'" + path.string() + "'", path.string()}) {
    for (size_t at = 0; (at = text.find(shown, at)) != std::string::npos; at += name.size()) {
      text.replace(at, shown.size(), name);
    }
  }
  return text;
}

}  // namespace lipcast::server
