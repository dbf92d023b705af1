#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "lipcast/base/status.h"

namespace lipcast::audio {

/// A regular, non-empty file opened for reading at any offset. Moves; closes itself.
/// Thread: reads do not share a position, any thread may make them.
class RegularFile {
 public:
  /// One line with the path and the reason: kNotFound (no such file), kPermissionDenied,
  /// kInvalidArgument (a directory, a pipe, 0 bytes), kUnavailable (anything else).
  static Result<RegularFile> Open(const std::filesystem::path& path);
  RegularFile(RegularFile&& other) noexcept;
  RegularFile& operator=(RegularFile&&) = delete;
  ~RegularFile();

  /// Its size when it was opened.
  uint64_t bytes() const { return bytes_; }
  int descriptor() const { return descriptor_; }
  /// Fills `out` from `offset` on; fewer bytes only at the end of the file.
  Result<size_t> ReadAt(uint64_t offset, std::span<std::byte> out) const;

 private:
  RegularFile(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
  std::string name_;
};

/// How a path is written in an error: "audio 'speech.wav'".
std::string AudioName(const std::filesystem::path& path);

}  // namespace lipcast::audio
