#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/status.h"

namespace lipcast::audio {

/// Interleaved bytes of any AudioFormat, in pieces of any size, to mono float: the mean of the
/// channels. Bytes of a sample frame that a piece cuts are carried over to the next.
/// Range:  integer and G.711 samples become [-1, 1); float samples pass unscaled and unclipped.
///         A NaN or an infinity becomes 0 and is counted.
/// Thread: one caller at a time.
class MonoConverter {
 public:
  static Result<MonoConverter> Create(const AudioFormat& format);

  /// Appends one float for each sample frame completed by `bytes` to `out`.
  void Push(std::span<const std::byte> bytes, std::vector<float>* out);
  /// Ends the stream. kDataLoss, a thing to warn of and no more, when bytes of an incomplete last
  /// frame were dropped: "audio byte 4001: the last 1 of 4 bytes of a frame; dropped".
  Status Finish();

  /// Whether the channels cancel out so far: they are loud, their mean is (almost) silent. Speech
  /// recorded like this would leave the mouth shut.
  bool opposite_phase() const;
  int64_t non_finite_samples() const { return non_finite_samples_; }
  const AudioFormat& format() const { return format_; }

 private:
  explicit MonoConverter(const AudioFormat& format) : format_(format) {}
  void ConvertFrames(const std::byte* bytes, size_t frames, float* out);
  template <typename Decode>
  void MixFrames(const std::byte* bytes, size_t frames, const Decode& decode, float* out);

  AudioFormat format_;
  std::array<std::byte, kMaxChannels * sizeof(double)> carry_{};
  size_t carried_ = 0;
  uint64_t bytes_ = 0;
  double channel_energy_ = 0, mean_energy_ = 0;  // sums of squares, the first per channel
  int64_t frames_ = 0;
  int64_t non_finite_samples_ = 0;
};

}  // namespace lipcast::audio
