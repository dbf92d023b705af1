#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lipcast/base/status.h"
#include "lipcast/media/h264_stream.h"

namespace lipcast::media {

/// An MP4 that can be played while it is written: H.264 access units and PCM in, an init segment
/// (ftyp, moov) and fragments (moof, mdat) out. The bytes, one after the other, are a file; a
/// browser takes them by HTTP or by MediaSource.
/// Times:  picture i at i / fps, sample n at n / rate, both from 0: in sync to the sample. AAC
///         comes in blocks of 1024, so a fragment's sound ends up to two blocks before the newest
///         picture. A picture stands until the next one, so that the track has no hole, at which
///         MediaSource would wait for ever: it goes out once the next one is there.
/// Sound:  AAC-LC. A rate AAC lacks is resampled; notes() says so.
/// Thread: one caller at a time.
class FragmentedMp4 {
 public:
  /// kInvalidArgument names the option. kUnimplemented without libav.
  static Result<std::unique_ptr<FragmentedMp4>> Create(const H264StreamOptions& options);
  virtual ~FragmentedMp4() = default;

  virtual std::span<const uint8_t> init_segment() const = 0;
  /// For MediaSource: video/mp4; codecs="avc1.640020, mp4a.40.2".
  virtual const std::string& mime_type() const = 0;
  virtual const std::vector<std::string>& notes() const = 0;

  /// H264Form::kAvcc bytes, indices growing. A frame without a picture is not added: the one before
  /// stands longer. kInvalidArgument for an index that does not grow.
  virtual Status AddPicture(int64_t index, std::span<const uint8_t> access_unit,
                            bool key_frame) = 0;
  /// PCM in the options' audio, pieces of any size, from time 0 without a gap.
  virtual Status AddSound(std::span<const std::byte> pcm) = 0;
  /// What was added since the last fragment but the newest picture, as one more; empty where that
  /// is nothing yet.
  virtual Result<std::vector<uint8_t>> TakeFragment() = 0;
  /// The last fragment, with the newest picture and the sound that still waited for a whole block.
  /// Nothing comes after it.
  virtual Result<std::vector<uint8_t>> Finish() = 0;
};

}  // namespace lipcast::media
