#include "lipcast/audio/mel_reference.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "lipcast/audio/mel_bank.h"

namespace lipcast::audio {

int64_t ReflectIndex(int64_t i, int64_t n) {
  if (n == 1) return 0;
  const int64_t period = 2 * (n - 1);
  i %= period;
  if (i < 0) i += period;
  return i < n ? i : period - i;
}

std::vector<double> DftMagnitudes(std::span<const double> frame) {
  static const std::vector<double> cosines = [] {
    std::vector<double> table(kFftSize);
    for (int i = 0; i < kFftSize; ++i) table[i] = std::cos(2 * std::numbers::pi * i / kFftSize);
    return table;
  }();
  std::vector<double> magnitudes(kFftBins);
  for (int k = 0; k < kFftBins; ++k) {
    double re = 0, im = 0;
    for (int n = 0; n < kFftSize; ++n) {
      const int turn = n * k % kFftSize;
      re += frame[n] * cosines[turn];
      im += frame[n] * cosines[(turn + kFftSize / 4) % kFftSize];  // cos(x + 90 deg) = -sin(x)
    }
    magnitudes[k] = std::hypot(re, im);
  }
  return magnitudes;
}

std::vector<std::vector<double>> MelReference(const MelConfig& config, std::span<const float> mono,
                                              const MelMistakes& mistakes) {
  const auto samples = static_cast<int64_t>(mono.size());
  std::vector<double> emphasised(mono.size());
  for (size_t n = 0; n < mono.size(); ++n) {
    emphasised[n] = mono[n] - (n == 0 ? 0.0 : kPreEmphasis * mono[n - 1]);
  }

  const std::vector<MelBand> bank = MakeSlaneyBank(config);
  const int hann_period = mistakes.symmetric_hann ? kFftSize - 1 : kFftSize;
  std::vector<std::vector<double>> mel(
      static_cast<size_t>(MelFrameCount(samples, config.hop_samples)));
  std::vector<double> frame(kFftSize);
  for (size_t t = 0; t < mel.size(); ++t) {
    const int64_t start = static_cast<int64_t>(t) * config.hop_samples - kFftSize / 2;
    for (int i = 0; i < kFftSize; ++i) {
      const int64_t n = start + i;
      const bool inside = n >= 0 && n < samples;
      double y = 0;
      if (inside) {
        y = emphasised[n];
      } else if (config.padding == Padding::kReflect) {
        y = emphasised[ReflectIndex(n, samples)];
      }
      const double hann = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / hann_period);
      frame[i] = i < mistakes.kept_window_samples ? y * hann : 0.0;
    }
    const std::vector<double> magnitudes = DftMagnitudes(frame);
    for (const MelBand& band : bank) {
      double sum = 0;
      for (size_t j = 0; j < band.weights.size(); ++j) {
        sum += band.weights[j] * magnitudes[band.first_bin + j];
      }
      const double db = 20 * std::log10(std::max(kMagnitudeFloor, sum)) - kReferenceDb;
      mel[t].push_back(std::clamp(2 * kMaxLogMel * (db + kRangeDb) / kRangeDb - kMaxLogMel,
                                  -kMaxLogMel, kMaxLogMel));
    }
  }
  return mel;
}

}  // namespace lipcast::audio
