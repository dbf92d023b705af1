#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"

struct AVFormatContext;

namespace lipcast::media {

/// The sound of one movie: PCM in, packets into the muxer. Made before the header is written,
/// used after it. The muxer outlives it.
class MovieAudio {
 public:
  virtual ~MovieAudio() = default;
  virtual Status Write(std::span<const std::byte> pcm) = 0;  ///< whole or cut samples
  virtual Status Flush() = 0;                                ///< the rest, at the end
  virtual std::string codec() const = 0;
};

/// What becomes of AAC's first block, which lies before time zero.
enum class Priming {
  kKeep,  ///< for files: the container's edit list tells players to skip it
  kDrop,  ///< for live MP4, which has no edit list: its first 1024 samples fade in instead
};

/// AAC-LC. A note is added where the rate had to change. With the number of samples known, silence
/// before time zero, which players skip, makes the last block end with the sound.
Result<std::unique_ptr<MovieAudio>> AddAac(AVFormatContext* muxer, const audio::AudioFormat& format,
                                           std::optional<int64_t> samples, Priming priming,
                                           std::vector<std::string>* notes);

/// The PCM as it is, in packets of one video frame.
Result<std::unique_ptr<MovieAudio>> AddPcm(AVFormatContext* muxer, const audio::AudioFormat& format,
                                           Rational fps);

/// The rate that AAC gets for a source of `rate_hz`: the same where AAC has it, else the next one
/// up, else 96 kHz or 88.2 kHz, whichever divides it.
int AacRate(int rate_hz);

}  // namespace lipcast::media
