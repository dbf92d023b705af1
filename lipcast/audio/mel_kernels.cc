#include "lipcast/audio/mel_kernels.h"

#include <cmath>
#include <numbers>

#include "lipcast/audio/fft800.h"

namespace lipcast::audio {

size_t StftPlan::scratch_floats() const {
  return samples_read() + static_cast<size_t>(kFftSize) * lanes;
}

StftPlan MakeStftPlan(int lanes, int hop_samples, std::span<const double> window) {
  StftPlan plan;
  plan.lanes = lanes;
  plan.hop_samples = hop_samples;
  // The last lane's frame ends this many hops after the batch began; turned four at a time.
  const int hops_needed = lanes + kFftSize / hop_samples - 1;
  plan.hops = (hops_needed + 3) / 4 * 4;
  for (const int pair : GetFft800Tables().input_pair) {
    const int sample = 2 * pair;
    plan.column_offset.push_back((sample % hop_samples) * plan.hops + sample / hop_samples);
    plan.window.push_back(static_cast<float>(0.5 * window[sample]));
    plan.window.push_back(static_cast<float>(0.5 * window[sample + 1]));
  }
  return plan;
}

std::vector<double> PeriodicHann() {
  std::vector<double> window(kFftSize);
  for (int i = 0; i < kFftSize; ++i) {
    window[i] = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / kFftSize);
  }
  return window;
}

FlatBank::FlatBank(const std::vector<MelBand>& bank) {
  for (const MelBand& band : bank) {
    first_bin.push_back(band.first_bin);
    for (const double weight : band.weights) weights.push_back(static_cast<float>(weight));
    while (weights.size() % kWeightStep != 0) weights.push_back(0.0f);
    weight_end.push_back(static_cast<int32_t>(weights.size()));
  }
}

}  // namespace lipcast::audio
