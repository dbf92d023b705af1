#include "lipcast/audio/mel_window.h"

#include <gtest/gtest.h>

#include <vector>

namespace lipcast::audio {
namespace {

TEST(MelWindowIndex, StartsWhereTheReferenceStarts) {
  const std::vector<int64_t> first = {0, 3, 6, 9, 12, 16, 19};
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(WindowStart(static_cast<int64_t>(i)), first[i]);
  }
  EXPECT_EQ(WindowStart(10), 32);
  EXPECT_EQ(WindowEnd(10), 48);
  for (int64_t i = 0; i < 1'000; ++i) EXPECT_EQ(WindowStart(i), WindowStart(i, 80, kModelFps));
  EXPECT_EQ(WindowStart(24), 76);
  EXPECT_EQ(WindowEnd(24), 92);
}

TEST(MelWindowIndex, EqualsTheReferencesFloatingPointFormFarOut) {
  for (int64_t i = 0; i < 200'000; ++i) {
    ASSERT_EQ(WindowStart(i), static_cast<int64_t>(80.0 * (static_cast<double>(i) / 25.0))) << i;
  }
}

TEST(MelWindowIndex, TheGeneralFormFollowsAnyRate) {
  EXPECT_EQ(WindowStart(7, 80, Rational{20, 1}), 28);
  EXPECT_EQ(WindowStart(30'000, 80, Rational{30'000, 1'001}), 80'080);
  EXPECT_EQ(WindowStart(int64_t{1} << 50, 80, Rational{25, 1}), (int64_t{1} << 50) / 5 * 16 + 12);
}

TEST(MelWindowIndex, CountsAsTheReferenceCounts) {
  EXPECT_EQ(WindowCountReference(81), 22);
  EXPECT_EQ(WindowCountReference(1'674), 520);
  EXPECT_EQ(WindowCountReference(16), 2);
  for (int64_t frames : {0, 1, 15, -3}) EXPECT_EQ(WindowCountReference(frames), 0);
}

// The expected numbers were computed in Python, in the reference's own expression.
TEST(MelWindowIndex, TheReferencesRoundingCostsAWindowAtTheLengthsItDoesInPython) {
  int64_t shorter = 0, last = 0;
  std::vector<int64_t> first;
  for (int64_t frames = kWindowFrames; frames < 200'000; ++frames) {
    const int64_t exact = (frames - kWindowFrames) * 25 / 80 + 2;
    const int64_t count = WindowCountReference(frames);
    if (count == exact) continue;
    ASSERT_EQ(count, exact - 1) << frames;
    if (++shorter <= 8) first.push_back(frames);
    last = frames;
  }
  EXPECT_EQ(shorter, 1'026);
  EXPECT_EQ(first, (std::vector<int64_t>{384, 672, 752, 832, 1328, 1408, 1488, 1568}));
  EXPECT_EQ(last, 199'952);
}

TEST(MelWindowIndex, Wav2LipsScriptMakesTheWindowsThatFitAndOneMore) {
  for (int64_t frames : {0, 1, 15, -3}) EXPECT_EQ(WindowCountWav2Lip(frames), 0);
  for (int64_t frames = kWindowFrames; frames < 5'000; ++frames) {
    int64_t index = 0;
    while (WindowEnd(index) <= frames) ++index;
    ASSERT_EQ(WindowCountWav2Lip(frames), index + 1) << frames;
  }
}

TEST(MelWindowIndex, TheReferencesLastWindowsEndInside) {
  EXPECT_EQ(WindowStartReference(5, 81), 16);
  EXPECT_EQ(WindowStartReference(20, 81), 64);
  EXPECT_EQ(WindowStartReference(21, 81), 65);
  EXPECT_EQ(WindowStartReference(22, 81), 65);
}

}  // namespace
}  // namespace lipcast::audio
