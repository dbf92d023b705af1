#include "lipcast/audio/fft800.h"

#include <cmath>
#include <numbers>

namespace lipcast::audio {
namespace {

Fft800Tables::Twiddle MakeTwiddle(int turns, int period) {
  const double angle = 2 * std::numbers::pi * turns / period;
  return {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
}

Fft800Tables MakeTables() {
  Fft800Tables tables;
  for (int n2 = 0; n2 < kFactor25; ++n2) {
    for (int n1 = 0; n1 < kFactor16; ++n1) {
      tables.input_pair[n2 * kFactor16 + n1] = (kFactor25 * n1 + kFactor16 * n2) % kPairs;
    }
  }
  for (int k = 0; k < kPairs; ++k) {
    tables.output_slot[k] = (k % kFactor25) * kFactor16 + k % kFactor16;
  }
  for (int c = 0; c < 4; ++c) {
    for (int b = 0; b < 4; ++b) tables.inner16[4 * c + b] = MakeTwiddle(b * c, kFactor16);
  }
  for (int c = 0; c < 5; ++c) {
    for (int b = 0; b < 5; ++b) tables.inner25[5 * c + b] = MakeTwiddle(b * c, kFactor25);
  }
  for (int k = 0; k < kPairs / 2; ++k) tables.split[k] = MakeTwiddle(k, kFftSize);
  return tables;
}

}  // namespace

const Fft800Tables& GetFft800Tables() {
  static const Fft800Tables tables = MakeTables();
  return tables;
}

}  // namespace lipcast::audio
