#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "lipcast/media/video_sink.h"

namespace lipcast::media {

/// A file name with one number in it: "%06d.png". The folder part is taken as it is.
class FramePattern {
 public:
  /// kInvalidArgument unless the file name has exactly one %d or %0Nd (N = 1..12) and no other
  /// '%' (a literal one is "%%").
  static Result<FramePattern> Parse(const std::filesystem::path& pattern);
  std::filesystem::path Name(int64_t frame) const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
  std::string before_, after_;
  size_t digits_ = 0;
};

enum class ImageKind { kPng, kJpeg };

/// Numbered pictures from 0 into the folder of SinkOptions::path, which is made if missing. Each
/// picture is written under a temporary name and renamed. PNG takes kBgr24 and, with its alpha
/// kept, kBgra32; JPEG takes kBgr24 and kI420. Sound is accepted and dropped, and the report
/// says so. An existing file is refused (at creation for frame 0) unless `overwrite`.
Result<std::unique_ptr<VideoSink>> CreateImageSink(ImageKind kind, const SinkOptions& options);

}  // namespace lipcast::media
