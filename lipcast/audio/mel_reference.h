#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lipcast/audio/mel_config.h"

namespace lipcast::audio {

/// Deliberate mistakes, so that tests can show the tolerance separates each from the truth.
struct MelMistakes {
  bool symmetric_hann = false;
  int kept_window_samples = kFftSize;  ///< the rest of each frame is zeroed
};

/// The log-mel of a whole signal, computed plainly in double precision: the readable truth that
/// every fast path is compared with. `config` must be valid.
/// Shape: [frames][bands], frames = 1 + floor(samples / hop), none for an empty signal.
std::vector<std::vector<double>> MelReference(const MelConfig& config, std::span<const float> mono,
                                              const MelMistakes& mistakes = {});

/// Magnitudes of the kFftBins bins of one real frame of kFftSize samples, by the definition.
std::vector<double> DftMagnitudes(std::span<const double> frame);

/// The sample of an n-sample signal that stands at position i outside it when mirrored at both
/// ends without repeating them, as often as needed. n >= 1.
int64_t ReflectIndex(int64_t i, int64_t n);

}  // namespace lipcast::audio
