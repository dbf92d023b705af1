#include "lipcast/audio/mel_kernels.h"

#include <gtest/gtest.h>
#include <hwy/aligned_allocator.h>
#include <hwy/targets.h>

#include <cmath>
#include <functional>
#include <limits>

#include "lipcast/audio/mel_reference.h"
#include "lipcast/audio/test_signals.h"

namespace lipcast::audio {
namespace {

// Runs `test` on every SIMD target that was compiled and that this machine has.
void OnEveryTarget(const std::function<void(const MelKernels&)>& test) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    const MelKernels kernels = ChooseMelKernels();
    SCOPED_TRACE(hwy::TargetName(target));
    EXPECT_EQ(kernels.target, target);
    test(kernels);
  }
  hwy::SetSupportedTargetsForTest(0);
}

std::vector<double> FrameOf(const std::vector<float>& signal, size_t start,
                            std::span<const double> window) {
  std::vector<double> frame(kFftSize);
  for (int i = 0; i < kFftSize; ++i) frame[i] = signal[start + i] * window[i];
  return frame;
}

TEST(MelKernels, TheFftEqualsTheDefinitionInEveryLaneOnEveryTarget) {
  const std::vector<double> rectangle(kFftSize, 1.0);
  for (const bool hann : {false, true}) {
    const std::vector<double> window = hann ? PeriodicHann() : rectangle;
    OnEveryTarget([&](const MelKernels& kernels) {
      for (const int hop : {4, 100, 200, 800}) {
        const StftPlan plan = MakeStftPlan(kernels.lanes, hop, window);
        const std::vector<float> signal = Noise(plan.samples_read(), 1.0f, 7);
        auto scratch = hwy::AllocateAligned<float>(plan.scratch_floats());
        auto magnitudes = hwy::AllocateAligned<float>(kFftBins * kernels.lanes);
        kernels.stft(plan, signal.data(), scratch.get(), magnitudes.get());
        for (int lane = 0; lane < kernels.lanes; ++lane) {
          const auto want = DftMagnitudes(FrameOf(signal, lane * hop, window));
          for (int k = 0; k < kFftBins; ++k) {
            ASSERT_NEAR(magnitudes[k * kernels.lanes + lane], want[k], 2e-5)
                << "hop " << hop << " lane " << lane << " bin " << k;
          }
        }
      }
    });
  }
}

TEST(MelKernels, AFramesBitsDoNotDependOnItsLane) {
  OnEveryTarget([](const MelKernels& kernels) {
    const StftPlan plan = MakeStftPlan(kernels.lanes, 200, PeriodicHann());
    const std::vector<float> signal = Noise(2 * plan.samples_read(), 1.0f, 3);
    auto scratch = hwy::AllocateAligned<float>(plan.scratch_floats());
    auto magnitudes = hwy::AllocateAligned<float>(kFftBins * kernels.lanes);
    auto alone = hwy::AllocateAligned<float>(kFftBins * kernels.lanes);
    kernels.stft(plan, signal.data(), scratch.get(), magnitudes.get());
    for (int lane = 0; lane < kernels.lanes; ++lane) {
      kernels.stft(plan, signal.data() + lane * 200, scratch.get(), alone.get());
      for (int k = 0; k < kFftBins; ++k) {
        ASSERT_EQ(magnitudes[k * kernels.lanes + lane], alone[k * kernels.lanes]);
      }
    }
  });
}

TEST(MelKernels, TheBankEqualsItsWeightsInDouble) {
  MelConfig up_to_the_last_bin;
  up_to_the_last_bin.low_hz = 0;
  up_to_the_last_bin.high_hz = 8'000;
  for (const MelConfig& config : {MelConfig{}, up_to_the_last_bin}) {
    const auto bank = MakeSlaneyBank(config);
    OnEveryTarget([&](const MelKernels& kernels) {
      const auto lanes = static_cast<size_t>(kernels.lanes);
      auto magnitudes = hwy::AllocateAligned<float>(kMagnitudeRows * lanes);
      auto mel = hwy::AllocateAligned<float>(bank.size() * lanes);
      const std::vector<float> noise = Noise(kMagnitudeRows * lanes, 5.0f, 11);
      for (size_t i = 0; i < noise.size(); ++i) magnitudes[i] = std::abs(noise[i]);
      kernels.filterbank(FlatBank(bank), magnitudes.get(), mel.get());
      for (size_t b = 0; b < bank.size(); ++b) {
        for (size_t lane = 0; lane < lanes; ++lane) {
          double want = 0;
          for (size_t j = 0; j < bank[b].weights.size(); ++j) {
            want += bank[b].weights[j] * magnitudes[(bank[b].first_bin + j) * lanes + lane];
          }
          ASSERT_NEAR(mel[b * lanes + lane], want, 1e-6 * (1 + want)) << "band " << b;
        }
      }
    });
  }
}

TEST(MelKernels, DecibelsEqualLog10OverTheWholeRangeAndTheFloorHoldsNothingBack) {
  std::vector<float> inputs = {0.0f, 1e-5f, 9.9e-6f, 1.0f, -1.0f, 1e-40f, 3e38f};
  for (double m = 1e-5; m < 1e4; m *= 1.0007) inputs.push_back(static_cast<float>(m));
  OnEveryTarget([&](const MelKernels& kernels) {
    const auto rows = (inputs.size() + kernels.lanes - 1) / kernels.lanes;
    auto mel = hwy::AllocateAligned<float>(rows * kernels.lanes);
    std::fill_n(mel.get(), rows * kernels.lanes, 1.0f);
    std::copy(inputs.begin(), inputs.end(), mel.get());
    kernels.log(static_cast<int>(rows), mel.get());
    for (size_t i = 0; i < inputs.size(); ++i) {
      const double want = 20 * std::log10(std::max(1e-5, static_cast<double>(inputs[i]))) - 20;
      ASSERT_NEAR(mel[i], want, 2e-5) << inputs[i];
    }
  });
}

TEST(MelKernels, NotANumberBecomesTheFloorAndInfinityTheCeiling) {
  OnEveryTarget([](const MelKernels& kernels) {
    auto mel = hwy::AllocateAligned<float>(2 * kernels.lanes);
    std::vector<float> out(2 * kernels.lanes);
    for (int i = 0; i < kernels.lanes; ++i) {
      mel[i] = std::numeric_limits<float>::quiet_NaN();
      mel[kernels.lanes + i] = std::numeric_limits<float>::infinity();
    }
    kernels.log(2, mel.get());
    kernels.normalise(2, mel.get(), out.data(), kernels.lanes);
    for (int i = 0; i < kernels.lanes; ++i) {
      ASSERT_EQ(out[i], -4.0f);
      ASSERT_EQ(out[kernels.lanes + i], 4.0f);
    }
  });
}

TEST(MelKernels, NormalisingClipsAtFourAndWritesOnlyItsOwnRows) {
  OnEveryTarget([](const MelKernels& kernels) {
    const float db[] = {-130.0f, -100.0f, -50.0f, 0.0f, 30.0f};
    const float want[] = {-4.0f, -4.0f, 0.0f, 4.0f, 4.0f};
    auto rows = hwy::AllocateAligned<float>(5 * kernels.lanes);
    for (int b = 0; b < 5; ++b) std::fill_n(rows.get() + b * kernels.lanes, kernels.lanes, db[b]);
    const ptrdiff_t stride = kernels.lanes + 3;
    std::vector<float> out(5 * stride, 99.0f);
    kernels.normalise(5, rows.get(), out.data(), stride);
    for (int b = 0; b < 5; ++b) {
      for (ptrdiff_t i = 0; i < stride; ++i) {
        ASSERT_NEAR(out[b * stride + i], i < kernels.lanes ? want[b] : 99.0f, 1e-6f);
      }
    }
  });
}

}  // namespace
}  // namespace lipcast::audio
