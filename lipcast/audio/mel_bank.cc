#include "lipcast/audio/mel_bank.h"

#include <algorithm>
#include <cmath>

namespace lipcast::audio {
namespace {

constexpr double kLinearHzPerMel = 200.0 / 3.0;
constexpr double kBreakHz = 1'000.0;
constexpr double kBreakMel = kBreakHz / kLinearHzPerMel;
// 27 mels to a factor of 6.4 above the break.
const double kLogStep = std::log(6.4) / 27.0;

}  // namespace

double HzToSlaneyMel(double hz) {
  return hz < kBreakHz ? hz / kLinearHzPerMel : kBreakMel + std::log(hz / kBreakHz) / kLogStep;
}

double SlaneyMelToHz(double mel) {
  return mel < kBreakMel ? mel * kLinearHzPerMel
                         : kBreakHz * std::exp((mel - kBreakMel) * kLogStep);
}

std::vector<MelBand> MakeSlaneyBank(const MelConfig& config) {
  const double low_mel = HzToSlaneyMel(config.low_hz);
  const double high_mel = HzToSlaneyMel(config.high_hz);
  std::vector<double> edge_hz(static_cast<size_t>(config.bands) + 2);
  for (size_t i = 0; i < edge_hz.size(); ++i) {
    edge_hz[i] =
        SlaneyMelToHz(low_mel + (high_mel - low_mel) * static_cast<double>(i) / (config.bands + 1));
  }

  const double hz_per_bin = static_cast<double>(config.sample_rate_hz) / kFftSize;
  std::vector<MelBand> bank(static_cast<size_t>(config.bands));
  for (size_t b = 0; b < bank.size(); ++b) {
    const double low = edge_hz[b], peak = edge_hz[b + 1], high = edge_hz[b + 2];
    for (int k = 0; k < kFftBins; ++k) {
      const double hz = hz_per_bin * k;
      const double height = std::min((hz - low) / (peak - low), (high - hz) / (high - peak));
      if (height <= 0.0) continue;
      if (bank[b].weights.empty()) bank[b].first_bin = k;
      bank[b].weights.push_back(height * 2.0 / (high - low));
    }
  }
  return bank;
}

}  // namespace lipcast::audio
