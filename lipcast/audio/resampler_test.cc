#include "lipcast/audio/resampler.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lipcast/audio/test_signals.h"
#include "lipcast/base/rational.h"

namespace lipcast::audio {
namespace {

std::vector<float> Resample(int from_hz, int to_hz, std::span<const float> signal, size_t piece) {
  auto resampler = Resampler::Create(from_hz, to_hz);
  EXPECT_TRUE(resampler.ok()) << resampler.status().message();
  std::vector<float> out;
  for (size_t at = 0; at < signal.size(); at += piece) {
    EXPECT_TRUE(
        resampler->Push(signal.subspan(at, std::min(piece, signal.size() - at)), &out).ok());
  }
  EXPECT_TRUE(resampler->Finish(&out).ok());
  EXPECT_EQ(resampler->samples_in(), static_cast<int64_t>(signal.size()));
  EXPECT_EQ(resampler->samples_out(), static_cast<int64_t>(out.size()));
  return out;
}

constexpr int kRatesHz[] = {8'000, 11'025, 15'999, 22'050, 24'000, 44'100, 48'000, 96'000, 192'000};

TEST(Resampler, EqualsTheTrainingsResampler) {
  const std::vector<float> golden = LoadNpy("speechlike_44100_to_16000.npy");
  const std::vector<float> signal = LoadWav("speechlike.wav");
  const std::vector<float> out = Resample(44'100, 16'000, signal, signal.size());
  ASSERT_EQ(out.size(), golden.size());
  for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], golden[i], 1e-5f) << i;
}

TEST(Resampler, TheSizeOfThePiecesNeverChangesABit) {
  for (const int rate_hz : kRatesHz) {
    const std::vector<float> noise = Noise(static_cast<size_t>(rate_hz) / 4 + 37, 0.5f);
    const std::vector<float> whole = Resample(rate_hz, 16'000, noise, noise.size());
    for (const size_t piece : {1, 7, 441, 4'093}) {
      ASSERT_EQ(Resample(rate_hz, 16'000, noise, piece), whole) << rate_hz << " Hz, " << piece;
    }
  }
}

TEST(Resampler, TheLengthIsTheCeilingOfTheRatioForAnyLength) {
  for (const int rate_hz : kRatesHz) {
    for (const int64_t samples : {0, 1, 2, 3, 319, 320, 321, 639, 4'097, 44'101}) {
      const std::vector<float> noise = Noise(static_cast<size_t>(samples), 0.5f);
      for (const auto& [from, to] : {std::pair(rate_hz, 16'000), std::pair(16'000, rate_hz)}) {
        EXPECT_EQ(static_cast<int64_t>(Resample(from, to, noise, 1'000).size()),
                  MulDivCeil(samples, to, from))
            << samples << " samples " << from << " to " << to << " Hz";
      }
    }
  }
}

TEST(Resampler, AToneKeepsItsPitchItsPlaceAndItsLevel) {
  for (const int rate_hz : kRatesHz) {
    const auto tone = [](int hz, size_t samples) {
      std::vector<float> wave(samples);
      for (size_t n = 0; n < samples; ++n) {
        wave[n] = static_cast<float>(
            0.5 * std::sin(2 * 3.141592653589793 * 440 * static_cast<double>(n) / hz));
      }
      return wave;
    };
    const std::vector<float> out =
        Resample(rate_hz, 16'000, tone(rate_hz, static_cast<size_t>(rate_hz)), 997);
    const std::vector<float> want = tone(16'000, out.size());
    for (size_t n = 2'000; n + 2'000 < out.size(); ++n) {
      ASSERT_NEAR(out[n], want[n], 1e-4f) << rate_hz << " Hz, sample " << n;
    }
  }
}

TEST(Resampler, EqualRatesPassThroughUntouched) {
  const std::vector<float> noise = Noise(12'345, 0.5f);
  EXPECT_EQ(Resample(16'000, 16'000, noise, 100), noise);
}

TEST(Resampler, NothingCanBePushedAfterTheEndAndASecondEndAddsNothing) {
  auto resampler = Resampler::Create(48'000, 16'000);
  std::vector<float> out;
  ASSERT_TRUE(resampler->Push(Noise(100, 0.5f), &out).ok());
  ASSERT_TRUE(resampler->Finish(&out).ok());
  EXPECT_EQ(out.size(), 34u);
  ASSERT_TRUE(resampler->Finish(&out).ok());
  EXPECT_EQ(out.size(), 34u);
  EXPECT_EQ(resampler->Push(Noise(1, 0.5f), &out).code(), Code::kFailedPrecondition);
}

TEST(Resampler, RatesOutsideTheLimitsAreRefused) {
  EXPECT_EQ(Resampler::Create(7'999, 16'000).status().message(),
            "resampling 7999 to 16000 Hz: want both in 8000..192000");
  EXPECT_FALSE(Resampler::Create(16'000, 200'000).ok());
  EXPECT_FALSE(Resampler::Create(0, 0).ok());
}

}  // namespace
}  // namespace lipcast::audio
