#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lipcast/audio/mel_bank.h"
#include "lipcast/audio/mel_config.h"

namespace lipcast::audio {

/// Rows of a batch's magnitudes: the bins, and as many more as a band's zero weights may reach.
/// The rows after the bins must be finite; nothing writes them.
inline constexpr int kMagnitudeRows = kFftBins + 3;

/// What the STFT of a batch of `lanes` frames needs besides its samples.
struct StftPlan {
  int lanes = 0;
  int hop_samples = 0;
  int hops = 0;                        ///< hops of samples read from a batch's first sample on
  std::vector<int32_t> column_offset;  ///< where the pairs lie in the turned samples, pass order
  std::vector<float> window;           ///< half the window, pair by pair in the same order

  /// Samples that must be readable from the first sample of a batch.
  size_t samples_read() const { return static_cast<size_t>(hops) * hop_samples; }
  /// Floats of 64-byte-aligned scratch that `MelKernels::stft` needs.
  size_t scratch_floats() const;
};

/// `hop_samples` as MelConfig::Validate allows it; `window` has kFftSize values.
StftPlan MakeStftPlan(int lanes, int hop_samples, std::span<const double> window);

/// The periodic Hann window of kFftSize.
std::vector<double> PeriodicHann();

/// The bank as the kernels read it: the weights of all bands one after another, each band's filled
/// up with zeros to a multiple of kWeightStep, so that few branches depend on its width.
struct FlatBank {
  static constexpr int kWeightStep = 4;
  std::vector<int32_t> first_bin;   ///< [bands]
  std::vector<int32_t> weight_end;  ///< [bands]; the weights of band b end here
  std::vector<float> weights;

  explicit FlatBank(const std::vector<MelBand>& bank);
  int bands() const { return static_cast<int>(first_bin.size()); }
};

/// The four steps of one batch of `lanes` frames, for one SIMD target. Arrays of [rows][lanes]
/// are 64-byte aligned; a frame stays in its lane throughout and no lane reads another.
struct MelKernels {
  int64_t target = 0;  ///< Highway's bit of the target
  int lanes = 0;
  /// Magnitudes [kFftBins][lanes] of the frames that begin at samples + lane * hop.
  void (*stft)(const StftPlan& plan, const float* samples, float* scratch, float* magnitudes);
  /// Band sums [bands][lanes] of magnitudes [kMagnitudeRows][lanes].
  void (*filterbank)(const FlatBank& bank, const float* magnitudes, float* mel);
  /// In place: 20 log10(max(1e-5, m)) - 20. A NaN becomes the floor.
  void (*log)(int bands, float* mel);
  /// clip(8 (S + 100) / 100 - 4, -4, 4) into rows `out_stride` floats apart, any alignment.
  void (*normalise)(int bands, const float* db, float* out, ptrdiff_t out_stride);
};

/// The kernels of the best target this machine (or the test's mock of it) supports.
MelKernels ChooseMelKernels();

}  // namespace lipcast::audio
