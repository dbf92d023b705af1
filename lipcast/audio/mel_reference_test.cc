#include "lipcast/audio/mel_reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "lipcast/audio/mel_bank.h"
#include "lipcast/audio/test_signals.h"

namespace lipcast::audio {
namespace {

constexpr double kTolerance = 1e-4;  // docs/numerics.md 1

// The largest difference in each frame; as many as `golden` has.
std::vector<double> FrameErrors(const std::vector<std::vector<double>>& mel,
                                const std::vector<float>& golden) {
  std::vector<double> errors(golden.size() / 80);
  EXPECT_EQ(mel.size(), errors.size());
  for (size_t t = 0; t < std::min(mel.size(), errors.size()); ++t) {
    EXPECT_EQ(mel[t].size(), 80u);
    for (size_t b = 0; b < mel[t].size(); ++b) {
      errors[t] = std::max(errors[t], std::abs(mel[t][b] - golden[t * 80 + b]));
    }
  }
  return errors;
}

double Worst(const std::vector<double>& errors) {
  return *std::max_element(errors.begin(), errors.end());
}

TEST(MelReference, EqualsLibrosaOnSpeech) {
  const std::vector<float> golden = LoadNpy("speech_mel.npy");
  ASSERT_EQ(golden.size(), 161u * 80u);
  EXPECT_LT(Worst(FrameErrors(MelReference({}, LoadWav("speech.wav")), golden)), 2e-6);
}

TEST(MelReference, EqualsLibrosaWithBothPaddings) {
  const std::vector<float> signal = LoadWav("speechlike.wav");
  MelConfig config;
  EXPECT_LT(Worst(FrameErrors(MelReference(config, signal), LoadNpy("speechlike_mel.npy"))), 2e-6);
  config.padding = Padding::kReflect;
  EXPECT_LT(Worst(FrameErrors(MelReference(config, signal), LoadNpy("speechlike_mel_reflect.npy"))),
            2e-6);
}

TEST(MelReference, TheToleranceSeparatesASymmetricHannOnEveryFrame) {
  MelMistakes mistakes;
  mistakes.symmetric_hann = true;
  const auto errors =
      FrameErrors(MelReference({}, LoadWav("speech.wav"), mistakes), LoadNpy("speech_mel.npy"));
  for (size_t t = 0; t < errors.size(); ++t) EXPECT_GT(errors[t], kTolerance) << "frame " << t;
}

TEST(MelReference, TheToleranceSeparatesAFrameCutTo640SamplesOnEveryFrameThatHasThem) {
  MelMistakes mistakes;
  mistakes.kept_window_samples = 640;
  const auto errors =
      FrameErrors(MelReference({}, LoadWav("speech.wav"), mistakes), LoadNpy("speech_mel.npy"));
  // The last 160 samples of the last two frames are padding, which cannot be missed.
  for (size_t t = 0; t + 2 < errors.size(); ++t) EXPECT_GT(errors[t], kTolerance) << "frame " << t;
}

TEST(MelReference, TheToleranceSeparatesABankUpTo8000HzOnEveryFrame) {
  MelConfig config;
  config.low_hz = 0;
  config.high_hz = 8'000;
  const auto errors =
      FrameErrors(MelReference(config, LoadWav("speech.wav")), LoadNpy("speech_mel.npy"));
  for (size_t t = 0; t < errors.size(); ++t) EXPECT_GT(errors[t], kTolerance) << "frame " << t;
}

TEST(MelReference, TheToleranceSeparatesReflectPaddingAtTheEdgesAndOnlyThere) {
  MelConfig config;
  config.padding = Padding::kReflect;
  const auto errors =
      FrameErrors(MelReference(config, LoadWav("speech.wav")), LoadNpy("speech_mel.npy"));
  const size_t last = errors.size() - 1;
  for (const size_t t : {size_t{0}, size_t{1}, last - 1, last}) {
    EXPECT_GT(errors[t], kTolerance) << "frame " << t;
  }
  for (size_t t = 2; t < last - 1; ++t) EXPECT_LT(errors[t], 2e-6) << "frame " << t;
}

TEST(MelReference, TheDftOfACosineIsOneBin) {
  std::vector<double> frame(kFftSize);
  for (int n = 0; n < kFftSize; ++n) frame[n] = std::cos(2 * std::numbers::pi * 37 * n / kFftSize);
  const auto magnitudes = DftMagnitudes(frame);
  for (int k = 0; k < kFftBins; ++k) EXPECT_NEAR(magnitudes[k], k == 37 ? 400 : 0, 1e-9) << k;
}

TEST(MelReference, ReflectionRepeatsNoEndAndBouncesAsOftenAsNeeded) {
  const int64_t three[] = {0, 1, 2, 1, 0, 1, 2, 1, 0};
  for (int64_t i = -4; i <= 4; ++i) EXPECT_EQ(ReflectIndex(i, 3), three[i + 4]) << i;
  EXPECT_EQ(ReflectIndex(-1, 1'000), 1);
  EXPECT_EQ(ReflectIndex(1'000, 1'000), 998);
  EXPECT_EQ(ReflectIndex(-400, 1), 0);
}

TEST(MelBank, TrianglesHaveTheAreaAndTheEdgesOfTheSlaneyScale) {
  const auto bank = MakeSlaneyBank({});
  ASSERT_EQ(bank.size(), 80u);
  EXPECT_EQ(bank.front().first_bin, 3);  // 60 Hz, the first bin above 55
  EXPECT_LE(bank.back().first_bin + static_cast<int>(bank.back().weights.size()) - 1, 380);
  for (size_t b = 40; b < bank.size(); ++b) {  // wide enough for the sum to be an integral
    double area_hz = 0;
    for (const double weight : bank[b].weights) area_hz += weight * 20;
    EXPECT_NEAR(area_hz, 1.0, 0.05) << "band " << b;
  }
  EXPECT_DOUBLE_EQ(HzToSlaneyMel(500), 7.5);
  EXPECT_DOUBLE_EQ(HzToSlaneyMel(6'400), 42.0);
  for (const double hz : {20.0, 999.0, 1'000.0, 1'001.0, 7'600.0}) {
    EXPECT_NEAR(SlaneyMelToHz(HzToSlaneyMel(hz)), hz, 1e-9);
  }
}

}  // namespace
}  // namespace lipcast::audio
