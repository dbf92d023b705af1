#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "lipcast/base/status.h"

namespace lipcast::server {

/// The folder for uploads: made under `parent` (the system's for temporary files where empty) with
/// mode 0700 and a name nobody can guess; removed with all in it when dropped.
class UploadFolder {
 public:
  static Result<std::unique_ptr<UploadFolder>> Create(const std::filesystem::path& parent = {});
  ~UploadFolder();
  UploadFolder(const UploadFolder&) = delete;
  UploadFolder& operator=(const UploadFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit UploadFolder(std::filesystem::path path) : path_(std::move(path)) {}
  const std::filesystem::path path_;
};

/// A file of mode 0600 in an UploadFolder that a body is written to; removed when dropped.
/// Thread: one at a time.
class UploadFile {
 public:
  static Result<std::shared_ptr<UploadFile>> Create(const UploadFolder& folder);
  ~UploadFile();
  UploadFile(const UploadFile&) = delete;
  UploadFile& operator=(const UploadFile&) = delete;

  /// kResourceExhausted when the disk is full.
  Status Append(std::string_view piece);
  const std::filesystem::path& path() const { return path_; }
  uint64_t bytes() const { return bytes_; }

 private:
  UploadFile(std::filesystem::path path, int file) : path_(std::move(path)), file_(file) {}
  const std::filesystem::path path_;
  const int file_;
  uint64_t bytes_ = 0;
};

}  // namespace lipcast::server
