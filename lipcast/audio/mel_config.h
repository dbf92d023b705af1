#pragma once

#include <cstdint>
#include <string>

#include "lipcast/base/status.h"

namespace lipcast::audio {

/// What stands before the first and after the last sample of the pre-emphasised signal.
enum class Padding {
  kZero,     ///< 400 zeros on each side
  kReflect,  ///< the signal mirrored at its first and last sample, which are not repeated
};

/// The transform size of every model family: 50 ms at 16 kHz.
inline constexpr int kFftSize = 800;
inline constexpr int kFftBins = kFftSize / 2 + 1;

/// How PCM becomes log-mel frames. Source of the defaults: docs/numerics.md 1.
struct MelConfig {
  int sample_rate_hz = 16'000;
  int window_samples = kFftSize;  // 50 ms, periodic Hann
  int hop_samples = 200;          // 12.5 ms, so 80 mel frames/s
  int bands = 80;
  int low_hz = 55;
  int high_hz = 7'600;
  Padding padding = Padding::kZero;  // Wav2Lip models were trained with kReflect

  /// kInvalidArgument: "mel.hop_samples = 801: want 1..800".
  Status Validate() const;
  /// One line for logs: "16000 Hz, window 800, hop 200, 80 bands 55..7600 Hz, zero padding".
  std::string ToString() const;
  friend bool operator==(const MelConfig&, const MelConfig&) = default;
};

/// The fixed numbers behind the mel scale; not configurable, the models know no others.
inline constexpr double kPreEmphasis = 0.97;
inline constexpr double kMagnitudeFloor = 1e-5;
inline constexpr double kReferenceDb = 20.0;
inline constexpr double kRangeDb = 100.0;
inline constexpr double kMaxLogMel = 4.0;

/// floor(samples / hop) + 1 frames, and none of nothing.
constexpr int64_t MelFrameCount(int64_t samples, int hop_samples) {
  return samples <= 0 ? 0 : 1 + samples / hop_samples;
}

}  // namespace lipcast::audio
