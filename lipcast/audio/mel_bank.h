#pragma once

#include <vector>

#include "lipcast/audio/mel_config.h"

namespace lipcast::audio {

/// One triangle of the bank: its weights over the bins [first_bin, first_bin + weights.size()).
/// A band too narrow to hold a bin has no weights and stays at the floor.
struct MelBand {
  int first_bin = 0;
  std::vector<double> weights;
};

/// The Slaney-scale, area-normalised triangles of `config`, over the kFftBins bins of its
/// transform. `config` must be valid. Source: docs/numerics.md 1; librosa.filters.mel is the
/// oracle of the golden data.
std::vector<MelBand> MakeSlaneyBank(const MelConfig& config);

/// The Slaney mel scale: linear below 1 kHz, logarithmic above.
double HzToSlaneyMel(double hz);
double SlaneyMelToHz(double mel);

}  // namespace lipcast::audio
