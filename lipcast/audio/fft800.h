#pragma once

#include <array>
#include <cstddef>

#include "lipcast/audio/mel_config.h"

namespace lipcast::audio {

/// The plan of the real FFT of 800: the samples are taken in pairs as 400 complex numbers, whose
/// DFT is 16 x 25 by coprime factors (no twiddles between the two), each factor done as 4 x 4 and
/// 5 x 5; one more pass turns the 400 complex bins into 401 real-signal bins.
/// One lane holds one frame, so nothing ever crosses lanes and a frame's bits do not depend on its
/// neighbours. The transform itself is fft800-inl.h.
inline constexpr int kPairs = kFftSize / 2;
inline constexpr int kFactor16 = 16;
inline constexpr int kFactor25 = 25;
static_assert(kFactor16 * kFactor25 == kPairs);

struct Fft800Tables {
  struct Twiddle {
    float cos = 1, sin = 0;  ///< of exp(-i angle): cos(angle), sin(angle)
  };
  /// Which pair of samples column n2, row n1 of the first pass reads.
  std::array<int, kPairs> input_pair;
  /// Where bin k of the complex DFT lies after the second pass, in complex numbers.
  std::array<int, kPairs> output_slot;
  std::array<Twiddle, 16> inner16;        ///< exp(-2 pi i b c / 16) at [4 c + b]
  std::array<Twiddle, 25> inner25;        ///< exp(-2 pi i b c / 25) at [5 c + b]
  std::array<Twiddle, kPairs / 2> split;  ///< exp(-2 pi i k / 800)
};

/// Made once; safe from any thread.
const Fft800Tables& GetFft800Tables();

}  // namespace lipcast::audio
