#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "lipcast/base/status.h"

namespace lipcast::server {

/// The bytes that uploads, what is made of them, and what is being made may take on the disk
/// together. Thread: any.
class DiskShare {
 public:
  /// `full`: what a refusal says.
  DiskShare(int64_t limit_bytes, std::string full)
      : limit_bytes_(limit_bytes), full_(std::move(full)) {}
  /// Called without a lock where `bytes` more do not fit: gives back what can be. Set before the
  /// first file, and good as long as one is written.
  void OnFull(std::function<void(int64_t bytes)> make_room) { make_room_ = std::move(make_room); }
  bool Fits(int64_t bytes) const;
  int64_t used() const;

 private:
  friend class DiskHold;
  bool TryTake(int64_t bytes);
  Status Take(int64_t bytes);
  void GiveBack(int64_t bytes);

  const int64_t limit_bytes_;
  const std::string full_;
  std::function<void(int64_t)> make_room_;
  mutable std::mutex mu_;
  int64_t used_ = 0;  // guarded by mu_
};

/// What one file takes of a share; gives it back when dropped. Thread: one at a time.
class DiskHold {
 public:
  explicit DiskHold(std::shared_ptr<DiskShare> share) : share_(std::move(share)) {}
  DiskHold(DiskHold&& other) noexcept
      : share_(std::move(other.share_)), bytes_(std::exchange(other.bytes_, 0)) {}
  DiskHold& operator=(DiskHold&&) = delete;
  ~DiskHold();
  /// kResourceExhausted where the share is full; nothing has changed then. Not with the lock of
  /// what OnFull calls.
  Status Resize(int64_t bytes);

 private:
  std::shared_ptr<DiskShare> share_;
  int64_t bytes_ = 0;
};

/// A file that is whole; it stays on the disk, and counts there, until the last holder lets go.
class FinishedFile {
 public:
  FinishedFile(std::filesystem::path path, DiskHold hold)
      : path_(std::move(path)), hold_(std::move(hold)) {}
  ~FinishedFile();
  FinishedFile(const FinishedFile&) = delete;
  FinishedFile& operator=(const FinishedFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_;
  const DiskHold hold_;
};

/// The folder for uploads: made under `parent` (the system's for temporary files where empty) with
/// mode 0700 and a name nobody can guess; removed with all in it when dropped.
class UploadFolder {
 public:
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
  static constexpr const char* kRendersFull =
      "sounds and files of renders fill the disk's share (renders.disk_mb): try later";
  static Result<std::unique_ptr<UploadFolder>> Create(const std::filesystem::path& parent = {},
                                                      int64_t limit_bytes = kNoLimit,
                                                      std::string full = kRendersFull);
  ~UploadFolder();
  UploadFolder(const UploadFolder&) = delete;
  UploadFolder& operator=(const UploadFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::shared_ptr<DiskShare>& share() const { return share_; }

 private:
  UploadFolder(std::filesystem::path path, int64_t limit_bytes, std::string full)
      : path_(std::move(path)), share_(std::make_shared<DiskShare>(limit_bytes, std::move(full))) {}
  const std::filesystem::path path_;
  const std::shared_ptr<DiskShare> share_;
};

/// A file of mode 0600 in an UploadFolder that a body is written to; removed when dropped.
/// Thread: one at a time.
class UploadFile {
 public:
  static Result<std::shared_ptr<UploadFile>> Create(const UploadFolder& folder);
  ~UploadFile();
  UploadFile(const UploadFile&) = delete;
  UploadFile& operator=(const UploadFile&) = delete;

  /// kResourceExhausted when the disk, or the folder's share of it, is full.
  Status Append(std::string_view piece);
  const std::filesystem::path& path() const { return path_; }
  uint64_t bytes() const { return bytes_; }

 private:
  UploadFile(std::filesystem::path path, int file, std::shared_ptr<DiskShare> share)
      : path_(std::move(path)), file_(file), hold_(std::move(share)) {}
  const std::filesystem::path path_;
  const int file_;
  DiskHold hold_;
  uint64_t bytes_ = 0;
};

/// What is said of a file to those who must not know where it lies: its path in `text` becomes
/// `name`. "'/tmp/lipcast-x/7': no RIFF" -> "the sound: no RIFF"
std::string WithoutPath(std::string text, const std::filesystem::path& path,
                        const std::string& name);

}  // namespace lipcast::server
