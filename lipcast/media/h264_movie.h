#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "lipcast/base/status.h"
#include "lipcast/media/h264_stream.h"
#include "lipcast/media/video_sink.h"

namespace lipcast::media {

/// An MP4 file, index in front, of H.264 access units that are there already: not a byte of them
/// changes. Sound becomes AAC-LC, at its own rate where AAC has that.
/// Times:  picture i at i / fps, sample n at n / rate, both from 0: in sync to the sample.
/// Errors: the first failure sticks, but an index that does not grow.
/// Files:  written under a temporary name and renamed by Finish(); destroyed without it: removed.
/// Thread: one caller at a time.
class H264Movie {
 public:
  /// kInvalidArgument names the option, kAlreadyExists the path. kUnimplemented without libav.
  static Result<std::unique_ptr<H264Movie>> Create(const std::filesystem::path& path,
                                                   const H264StreamOptions& options);
  virtual ~H264Movie() = default;

  /// H264Form::kAvcc bytes, indices growing, the first a key frame. A frame without a picture is
  /// not added: the one before stands longer.
  virtual Status AddPicture(int64_t index, std::span<const uint8_t> access_unit,
                            bool key_frame) = 0;
  /// PCM in the options' audio, pieces of any size, from time 0 without a gap.
  virtual Status AddSound(std::span<const std::byte> pcm) = 0;
  virtual int64_t bytes_written() const = 0;  ///< so far
  /// The last picture stands until frame `frames`, which the report counts.
  virtual Result<SinkReport> Finish(int64_t frames) = 0;
};

}  // namespace lipcast::media
