#include "lipcast/avatar/frame_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "lipcast/base/rational.h"

namespace lipcast::avatar {
namespace {

using testing::ElementsAre;

std::vector<int64_t> Play(Order order, int64_t frame_count, int64_t steps) {
  std::vector<int64_t> frames;
  for (int64_t i = 0; i < steps; ++i) frames.push_back(FrameAt(order, frame_count, i));
  return frames;
}

TEST(FrameOrder, BounceShowsTheEndsOnce) {
  EXPECT_THAT(Play(Order::kBounce, 4, 10), ElementsAre(0, 1, 2, 3, 2, 1, 0, 1, 2, 3));
  EXPECT_THAT(Play(Order::kBounce, 3, 6), ElementsAre(0, 1, 2, 1, 0, 1));
}

TEST(FrameOrder, LoopStartsAgainAndHoldStays) {
  EXPECT_THAT(Play(Order::kLoop, 3, 7), ElementsAre(0, 1, 2, 0, 1, 2, 0));
  EXPECT_THAT(Play(Order::kHold, 3, 6), ElementsAre(0, 1, 2, 2, 2, 2));
}

TEST(FrameOrder, OneAndTwoFramesWork) {
  for (const Order order : {Order::kLoop, Order::kBounce, Order::kHold}) {
    EXPECT_THAT(Play(order, 1, 3), ElementsAre(0, 0, 0));
  }
  EXPECT_THAT(Play(Order::kBounce, 2, 5), ElementsAre(0, 1, 0, 1, 0));
  EXPECT_THAT(Play(Order::kLoop, 2, 5), ElementsAre(0, 1, 0, 1, 0));
  EXPECT_THAT(Play(Order::kHold, 2, 4), ElementsAre(0, 1, 1, 1));
}

TEST(FrameOrder, BounceMovesByOneAtEveryStep) {
  for (int64_t step = 0; step < 2'000; ++step) {
    const int64_t now = FrameAt(Order::kBounce, 250, step);
    ASSERT_GE(now, 0);
    ASSERT_LT(now, 250);
    ASSERT_EQ(std::abs(FrameAt(Order::kBounce, 250, step + 1) - now), 1) << step;
  }
}

TEST(FrameOrder, TakesStepsUpTo2To62) {
  constexpr int64_t kFar = int64_t{1} << 62;
  EXPECT_EQ(FrameAt(Order::kLoop, 50, kFar), kFar % 50);
  EXPECT_EQ(FrameAt(Order::kHold, 50, kFar), 49);
  // 2^62 mod 98 = 74, which on the way back is frame 98 - 74.
  EXPECT_EQ(FrameAt(Order::kBounce, 50, kFar), 24);
  // 2^31 - 1 mod 1,999,998 = 1,485,793.
  EXPECT_EQ(FrameAt(Order::kBounce, 1'000'000, 2'147'483'647), 514'205);
}

TEST(FrameOrder, ANegativeStepCountsAsTheFirst) {
  EXPECT_EQ(FrameAt(Order::kLoop, 50, -1), 0);
  EXPECT_EQ(FrameAt(Order::kBounce, 50, INT64_MIN), 0);
}

TEST(FrameOrder, A30FpsClipFollowsTimeNotCountAt25Fps) {
  const Rational output{25, 1}, clip{30, 1};
  EXPECT_EQ(FrameAt(Order::kLoop, 300, MapFrame(24, output, clip)), 28);  // 0.96 s
  EXPECT_EQ(FrameAt(Order::kLoop, 300, MapFrame(250, output, clip)), 0);  // 10 s: once round
  EXPECT_EQ(FrameAt(Order::kBounce, 300, MapFrame(250, output, clip)), 298);
  const Rational ntsc{30'000, 1'001};
  // After ten minutes at 25 fps, less than one frame from the true time.
  EXPECT_EQ(MapFrame(15'000, output, ntsc), 17'982);
}

}  // namespace
}  // namespace lipcast::avatar
