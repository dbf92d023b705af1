#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lipcast/avatar/frame_decoder.h"
#include "lipcast/base/status.h"

namespace lipcast::avatar {

using SharedBytes = std::shared_ptr<const std::vector<uint8_t>>;

/// Limits of a .zip package: above them it is refused before anything is unpacked.
inline constexpr int64_t kMaxZipEntries = 200'000;
inline constexpr int64_t kMaxZipFileBytes = int64_t{1} << 30;
inline constexpr int64_t kMaxZipTotalBytes = int64_t{4} << 30;
/// Largest file that Read() takes into memory.
inline constexpr int64_t kMaxReadBytes = int64_t{2} << 30;

/// The files of an avatar package, a folder or the same as one .zip.
/// Names: UTF-8, relative, '/' between folders; no name reaches outside the package, also not
///         through a symbolic link. A .zip may hold everything inside one top folder.
/// Errors: kNotFound (no such package or file), kInvalidArgument (a bad name, a link out, not a
///         regular file), kResourceExhausted (above a limit), kDataLoss (broken archive, I/O).
/// Thread: any; reads of a .zip go one after another.
class PackageFiles {
 public:
  static Result<std::unique_ptr<PackageFiles>> Open(const std::filesystem::path& path);
  virtual ~PackageFiles() = default;

  /// The whole file in memory.
  Result<SharedBytes> Read(std::string_view name, int64_t max_bytes = kMaxReadBytes) const;
  /// Lower-case hex SHA-256, read in pieces.
  Result<std::string> Sha256(std::string_view name) const;
  /// True for a regular file inside the package.
  bool Exists(std::string_view name) const { return SizeBytes(name).ok(); }

  virtual Result<int64_t> SizeBytes(std::string_view name) const = 0;
  /// The file for a decoder: its path in a folder, its bytes out of a .zip.
  virtual Result<FileSource> Source(std::string_view name) const = 0;

 protected:
  using Sink = std::function<void(std::span<const uint8_t>)>;
  /// Hands the file's bytes over in pieces, in order; kDataLoss unless they are SizeBytes() many.
  virtual Status Stream(std::string_view name, const Sink& sink) const = 0;
};

}  // namespace lipcast::avatar
