#pragma once

#include <filesystem>
#include <string>

#include "lipcast/base/status.h"

namespace lipcast::media {

/// "what: No such file or directory" with the code that fits errno.
Status ErrnoStatus(int error, const std::string& what);

/// Writes all of `size` bytes. A reader that went away (EPIPE) is kCancelled, a full disk
/// kResourceExhausted. main() ignores SIGPIPE, or the process dies before the error is seen.
Status WriteAll(int fd, const void* data, size_t size, const std::string& target);

/// A file under a short temporary name beside its final one: open, write, Commit() = rename.
/// Destroyed without Commit() it is removed. Nothing ever stands half written under the final
/// name. Killed by SIGKILL, a hidden ".lipcast-PID-N.part" stays behind.
class TempFile {
 public:
  /// kAlreadyExists when the final name is taken and `overwrite` is false; kInvalidArgument when
  /// it is a folder; otherwise errno's reason.
  static Result<TempFile> Create(const std::filesystem::path& final_path, bool overwrite);
  TempFile(TempFile&& other) noexcept;
  TempFile& operator=(TempFile&& other) noexcept;
  ~TempFile();

  const std::filesystem::path& path() const { return temp_path_; }
  int fd() const { return fd_; }
  /// Closes and renames. Without `overwrite` a file that appeared meanwhile is never replaced.
  Status Commit();

 private:
  TempFile() = default;
  void Abandon();

  std::filesystem::path final_path_;
  std::filesystem::path temp_path_;  // empty once committed or moved from
  int fd_ = -1;
  bool overwrite_ = false;
};

}  // namespace lipcast::media
