#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/picture.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"

namespace lipcast::media {

/// What is written where. Each sink reads the fields it needs; Validate() checks them all.
struct SinkOptions {
  std::filesystem::path path;
  Rational fps;
  int width = 0, height = 0;                ///< of every picture, in pixels
  std::optional<audio::AudioFormat> audio;  ///< absent: a silent film, WriteAudio is refused
  /// Length of the sound where it is known before it begins. AAC comes in blocks of 1024 samples:
  /// with it the blocks end where the sound ends; without it only the file's times say where.
  std::optional<int64_t> audio_samples;
  int crf = 20;                      ///< x264 quality, 0 (lossless) .. 51
  int jpeg_quality = 90;             ///< 1..100
  int threads = 1;                   ///< of the video encoder, 1..64
  std::string h264_encoder;          ///< libav's name; empty: libx264, else libopenh264
  std::string preset = "superfast";  ///< x264's speed; figures in README.md
  bool overwrite = false;            ///< else an existing target is kAlreadyExists

  Status Validate() const;  ///< kInvalidArgument: "crf = 60: want 0..51"
};

/// What came out. Notes are for people: "641x361 padded to 642x362: ...".
struct SinkReport {
  int64_t frames = 0;
  int64_t bytes = 0;    ///< of the file, or of all pictures together, or sent into the pipe
  std::string encoder;  ///< "libx264", "png", "raw i420", ...
  std::vector<std::string> notes;
};

/// The end of the line: pictures and sound go in, one finished file comes out.
/// Order:  frames in order, one per tick of the frame rate; sound in pieces of any size.
/// Errors: the first failure sticks: every later call returns it.
/// Files:  written under a temporary name in the target's folder and renamed by Finish().
///         Destroyed without Finish() = abort: the temporary file is removed. (An image sink
///         renames each picture when it is whole; those stay.)
/// Thread: one caller at a time.
class VideoSink {
 public:
  virtual ~VideoSink() = default;
  /// The format that WriteFrame takes without a conversion.
  virtual PixelFormat wanted_format() const = 0;
  virtual Status WriteFrame(const PictureView& picture) = 0;
  /// Interleaved PCM in SinkOptions::audio; bytes of a cut sample are carried over.
  virtual Status WriteAudio(std::span<const std::byte> pcm) = 0;
  virtual int64_t bytes_written() const = 0;  ///< so far: SinkReport::bytes in the making
  virtual Result<SinkReport> Finish() = 0;
};

/// kInvalidArgument unless `picture` has one of the formats and the size of `options`;
/// the message names `target` and the number of the frame.
Status CheckFrame(const PictureView& picture, std::span<const PixelFormat> formats,
                  const SinkOptions& options, const std::string& target, int64_t frame);

/// "bgr24", "bgra32", "i420", "gray8".
std::string PixelFormatName(PixelFormat format);

}  // namespace lipcast::media
