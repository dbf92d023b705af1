#include "lipcast/server/arrival_watch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace lipcast::server {
namespace {

using std::chrono::milliseconds;

constexpr double kDeclared = 2 * 24000;  // bytes a second: 24 kHz, s16, mono

/// What is said of pieces of `piece_ms` of sound at `bytes_per_second`, each up to `jitter_ms`
/// late.
std::optional<double> SaidOf(double bytes_per_second, int seconds, int piece_ms = 20,
                             int jitter_ms = 0) {
  ArrivalWatch watch(kDeclared);
  std::mt19937 random(7);
  std::optional<double> said;
  for (int ms = 0; ms < seconds * 1000; ms += piece_ms) {
    const int late =
        jitter_ms == 0 ? 0 : static_cast<int>(random() % static_cast<unsigned>(jitter_ms));
    const auto factor = watch.Heard(TimePoint(milliseconds(ms + late)),
                                    static_cast<size_t>(bytes_per_second * piece_ms / 1000));
    if (!factor) continue;
    EXPECT_FALSE(said) << "told twice";
    said = factor;
  }
  return said;
}

TEST(ArrivalWatch, SaysHowManyTimesFasterASteadySenderIs) {
  for (const double factor : {2.0, 4.0, 0.5, 1.5, 44.1 / 24, 2.0 / 3}) {
    for (const int jitter_ms : {0, 15}) {
      const auto said = SaidOf(kDeclared * factor, 12, 20, jitter_ms);
      ASSERT_TRUE(said) << factor << " " << jitter_ms;
      EXPECT_NEAR(*said / factor, 1, 0.05) << factor;
    }
  }
}

TEST(ArrivalWatch, HasNothingToSayOfTheDeclaredRate) {
  for (const int piece_ms : {10, 20, 100, 200}) {
    EXPECT_FALSE(SaidOf(kDeclared, 60, piece_ms, 15));
    EXPECT_FALSE(SaidOf(kDeclared * 1.1, 60, piece_ms));  // a sound card's clock and more
  }
}

TEST(ArrivalWatch, TakesSecondsBeforeItSpeaks) { EXPECT_FALSE(SaidOf(kDeclared * 2, 6)); }

TEST(ArrivalWatch, ASpeechProgramMaySendAsFastAsItHasWords) {
  ArrivalWatch watch(kDeclared);
  TimePoint now{};
  for (int sentence = 0; sentence < 50; ++sentence) {  // three seconds of sound at once
    EXPECT_FALSE(watch.Heard(now, static_cast<size_t>(3 * kDeclared)));
    now += milliseconds(700);
  }
  std::mt19937 random(3);
  for (int i = 0; i < 5000; ++i) {  // pieces as they are made, at no rate of their own
    const double share = 0.5 + static_cast<double>(random() % 1000) / 500;
    const double swing = 1 + 0.8 * std::sin(i / 40.0);
    EXPECT_FALSE(watch.Heard(now, static_cast<size_t>(kDeclared * 0.05 * share * swing * 2)));
    now += milliseconds(50);
  }
  EXPECT_FALSE(watch.Heard(now, static_cast<size_t>(60 * kDeclared)));  // a whole file
}

TEST(ArrivalWatch, APauseBeginsAnew) {
  ArrivalWatch watch(kDeclared);
  TimePoint now{};
  for (int i = 0; i < 2000; ++i) {
    now += milliseconds(i % 100 == 0 ? 600 : 20);  // two seconds, then a pause
    EXPECT_FALSE(watch.Heard(now, static_cast<size_t>(kDeclared * 0.04)));
  }
}

}  // namespace
}  // namespace lipcast::server
