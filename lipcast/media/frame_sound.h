#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/audio/resampler.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"

namespace lipcast::media {

/// The sound of a stream's frames as S16 at another rate, in the same channels.
/// Count: frame i gets FirstSample(i + 1) - FirstSample(i) samples of the new rate, always; where
///        the input ends before its frame does, silence follows.
/// Time:  no lag: a new sample is computed from the sound around it, so from some of the sound
///        after its frame. Where that turns out different after all (a clear, speech in place of
///        silence), the filter starts again from the sound as it is.
/// Range: floats are clipped at full scale, NaN becomes 0. S16 at its own rate passes unchanged.
/// Memory: 0.5 s of the input. Thread: one caller at a time.
class FrameSound {
 public:
  /// kInvalidArgument: "sound_rate_hz = 4000: want 8000..192000".
  static Result<FrameSound> Create(const audio::AudioFormat& input, int rate_hz,
                                   const Rational& fps);

  /// Input samples behind a frame that Convert wants; 0 where the rate stays.
  static int AheadSamples(const audio::AudioFormat& input, int rate_hz);

  /// The next frame's. `ahead` is what follows its `sound`; less than AheadSamples means that
  /// silence follows. Appends little-endian samples to `out`.
  Status Convert(std::span<const std::byte> sound, std::span<const std::byte> ahead,
                 std::string* out);

 private:
  FrameSound(const audio::AudioFormat& input, int rate_hz, const Rational& fps);
  int64_t FirstInput(int64_t frame) const { return FirstSample(frame, input_.rate_hz, fps_); }
  int64_t FirstOutput(int64_t frame) const { return FirstSample(frame, rate_hz_, fps_); }
  size_t BytesOf(int64_t samples) const;
  Status Restart(int64_t begin);
  Status Feed(std::span<const std::byte> bytes);

  audio::AudioFormat input_;
  int rate_hz_;
  Rational fps_;
  int64_t ahead_samples_;
  int64_t next_frame_ = 0;
  std::optional<audio::Resampler> resampler_;
  std::vector<std::byte> fed_;  // what the filter has heard, from input sample fed_from_ on
  int64_t fed_from_ = 0, fed_to_ = 0;
  std::vector<float> made_;  // what it gave, from output sample made_from_ on
  int64_t made_from_ = 0;
  std::vector<std::byte> heard_;  // scratch: the frame and what follows it
  std::vector<float> floats_;     // scratch
};

}  // namespace lipcast::media
