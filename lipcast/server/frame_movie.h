#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"
#include "lipcast/media/video_sink.h"
#include "lipcast/server/picture_encoder.h"

namespace lipcast::server {

/// What a client got as one frame.
struct SentFrame {
  std::string picture, sound;
  bool repeated = false;  ///< no picture: the one before stands
  bool key_frame = false;
};

/// An MP4 of the frames that a client gets, each 1 / fps long: H.264 as it is, to the byte; other
/// pictures are decoded and encoded as H.264. The sound becomes AAC at its own rate.
/// Errors: the first one sticks. Files: under the final name only when it is whole.
/// Thread: one caller at a time.
class FrameMovie {
 public:
  struct Options {
    PictureCodec codec = PictureCodec::kJpeg;
    int width = 0, height = 0;  ///< of what decodes
    Rational fps;
    std::optional<audio::AudioFormat> sound;  ///< of what frames carry; absent: none
    std::vector<uint8_t> avcc;                ///< of H.264, in either form: PictureEncoder::avcc
  };
  /// kUnimplemented without libav.
  static Result<std::unique_ptr<FrameMovie>> Create(const std::filesystem::path& path,
                                                    const Options& options);
  virtual ~FrameMovie() = default;

  /// The next frame; the first has a key_frame.
  virtual Status Add(const SentFrame& frame) = 0;
  virtual int64_t bytes_written() const = 0;
  virtual int64_t bytes_waiting() const = 0;  ///< on their way to the disk, at most
  virtual Result<media::SinkReport> Finish() = 0;
};

}  // namespace lipcast::server
