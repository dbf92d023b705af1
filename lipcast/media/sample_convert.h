#pragma once

#include <cstddef>
#include <span>

#include "lipcast/audio/audio_format.h"

namespace lipcast::media {

/// Interleaved samples of any type to float in [-1, 1], as an encoder takes them: NaN becomes 0,
/// floats beyond +-16 are clamped. `pcm` holds out.size() samples.
void SamplesToFloat(audio::SampleType type, std::span<const std::byte> pcm, std::span<float> out);

}  // namespace lipcast::media
