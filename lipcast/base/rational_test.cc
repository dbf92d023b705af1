#include "lipcast/base/rational.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace lipcast {
namespace {

const Rational kNtsc{30'000, 1001};

TEST(Timeline, GivesEveryFrameAtWholeRatesTheSameSamples) {
  for (int64_t i = 0; i < 1000; ++i) EXPECT_EQ(FirstSample(i, 16'000, {25, 1}), 640 * i);
}

TEST(Timeline, SpreadsTheSamplesOfNtscOverFiveFrames) {
  const int64_t first[] = {0, 1601, 3203, 4804, 6406, 8008};
  for (int64_t i = 0; i <= 5; ++i) EXPECT_EQ(FirstSample(i, 48'000, kNtsc), first[i]);
  for (const int64_t cycle : {int64_t{1}, int64_t{1'000'000}, int64_t{1'000'000'000'000'000}}) {
    for (int64_t i = 0; i < 5; ++i) {
      EXPECT_EQ(FirstSample(5 * cycle + i, 48'000, kNtsc), 8008 * cycle + first[i]);
    }
  }
}

TEST(Timeline, HasCeilOfDurationTimesRateFrames) {
  EXPECT_EQ(FramesFor(0, 16'000, {25, 1}), 0);
  EXPECT_EQ(FramesFor(1, 16'000, {25, 1}), 1);
  EXPECT_EQ(FramesFor(640, 16'000, {25, 1}), 1);
  EXPECT_EQ(FramesFor(641, 16'000, {25, 1}), 2);
  EXPECT_EQ(FramesFor(48'048'000, 48'000, kNtsc), 30'000);
  EXPECT_EQ(FramesFor(48'048'001, 48'000, kNtsc), 30'001);
}

TEST(Timeline, OwnsEverySampleExactlyOnceAtAnyRate) {
  std::mt19937_64 random(7);
  const Rational rates[] = {
      {1, 1}, {24'000, 1001}, {25, 1}, kNtsc, {2997, 100}, {120, 1}, {1'000'000'000, 999'999'999}};
  for (const Rational& fps : rates) {
    for (const int64_t rate_hz : {8000, 11'025, 16'000, 44'100, 48'000, 192'000}) {
      for (int turn = 0; turn < 200; ++turn) {
        const auto samples = static_cast<int64_t>(random() >> (turn % 40 + 16));
        const int64_t frames = FramesFor(samples, rate_hz, fps);
        ASSERT_GE(FirstSample(frames, rate_hz, fps), samples);
        ASSERT_TRUE(frames == 0 || FirstSample(frames - 1, rate_hz, fps) < samples);
      }
    }
  }
}

TEST(Timeline, MapsFramesByTimeNeverByCount) {
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(MapFrame(i, {25, 1}, {25, 1}), i);
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(MapFrame(i, {50, 1}, {25, 1}), i / 2);
  EXPECT_EQ(MapFrame(1, {25, 1}, kNtsc), 1);
  EXPECT_EQ(MapFrame(5, {25, 1}, kNtsc), 5);
  EXPECT_EQ(MapFrame(6, {25, 1}, kNtsc), 7);
  EXPECT_EQ(MapFrame(30'000, kNtsc, {25, 1}), 25'025);
  EXPECT_EQ(MapFrame(29'999, kNtsc, {25, 1}), 25'024);
  EXPECT_EQ(MapFrame(30'000'000'000'000, kNtsc, {25, 1}), 25'025'000'000'000);
}

TEST(Timeline, DoesNotOverflowBetweenItsTwoFactors) {
  const int64_t large = int64_t{1} << 62;
  EXPECT_EQ(MulDivFloor(large, large, large), large);
  EXPECT_EQ(MulDivCeil(large, large, large), large);
  EXPECT_EQ(MulDivFloor(large + 1, 3, 4), 3 * (large / 4));
  EXPECT_EQ(MulDivCeil(large + 1, 3, 4), 3 * (large / 4) + 1);
}

TEST(Rational, PrintsAndComparesByValue) {
  EXPECT_EQ((Rational{25, 1}).ToString(), "25");
  EXPECT_EQ(kNtsc.ToString(), "30000/1001");
  EXPECT_NEAR(kNtsc.value(), 29.97002997, 1e-8);
  EXPECT_EQ((Rational{50, 2}), (Rational{25, 1}));
  EXPECT_FALSE((Rational{2997, 100}) == kNtsc);
}

TEST(ParseFrameRate, ReadsWholeNumbersDecimalsAndRatiosExactly) {
  const struct {
    const char* text;
    const char* want;
  } cases[] = {{"25", "25"},
               {"1", "1"},
               {"120", "120"},
               {"29.97", "2997/100"},
               {"23.976", "2997/125"},
               {"30000/1001", "30000/1001"},
               {"50/2", "25"},
               {"25.0", "25"},
               {"1.000001", "1000001/1000000"}};
  for (const auto& c : cases) {
    const auto rate = ParseFrameRate(c.text);
    ASSERT_TRUE(rate.ok()) << c.text;
    EXPECT_EQ(rate->ToString(), c.want);
  }
}

TEST(ParseFrameRate, RefusesEverythingElseWithTheTextAndTheLimits) {
  for (const char* text : {"",
                           "0",
                           "-25",
                           "+25",
                           " 25",
                           "25 ",
                           "nan",
                           "1e2",
                           "0x19",
                           "25.",
                           ".5",
                           ".",
                           "0.999999",
                           "120.000001",
                           "121",
                           "25/0",
                           "0/25",
                           "25/",
                           "/25",
                           "/",
                           "30000/-1001",
                           "25/1/1",
                           "25.5/2",
                           "25.-5",
                           "2.5.1",
                           "1/2",
                           "25.0000001",
                           "99999999999999999999",
                           "25/1001",
                           "25,5",
                           "1000000001/1000000000"}) {
    EXPECT_EQ(ParseFrameRate(text).status(),
              Status(Code::kInvalidArgument, "frame rate '" + std::string(text) +
                                                 "': want 1..120, e.g. 25, 29.97 or 30000/1001"));
  }
}

}  // namespace
}  // namespace lipcast
