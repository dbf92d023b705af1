#include "lipcast/cli/progress.h"

#include <gtest/gtest.h>

#include <limits>

namespace lipcast::cli {
namespace {

TEST(Progress, WritesClockTimesWithHoursOnlyWhereThereAreSome) {
  EXPECT_EQ(ClockText(0), "0:00");
  EXPECT_EQ(ClockText(6.4), "0:06");
  EXPECT_EQ(ClockText(59.5), "1:00");
  EXPECT_EQ(ClockText(123), "2:03");
  EXPECT_EQ(ClockText(3723), "1:02:03");
  EXPECT_EQ(ClockText(-5), "0:00");
}

TEST(Progress, ShowsABarWithRateAndTimeLeft) {
  EXPECT_EQ(ProgressText(120, 480, 2), "[######..................] 120/480  60.0 fps  0:06 left");
  EXPECT_EQ(ProgressText(480, 480, 8), "[########################] 480/480  60.0 fps  0:00 left");
}

TEST(Progress, ShowsNoTimeLeftBeforeTheFirstFrame) {
  EXPECT_EQ(ProgressText(0, 480, 0), "[........................] 0/480  0.0 fps  ");
}

TEST(Progress, NeverDrawsPastTheEndOfItsBar) {
  const std::string text = ProgressText(500, 480, 1);
  EXPECT_EQ(text.substr(0, 26), "[########################]");
  EXPECT_NE(text.find("0:00 left"), std::string::npos);
}

TEST(Progress, CountsFramesWhereTheTotalIsNotKnown) {
  EXPECT_EQ(ProgressText(75, std::nullopt, 3), "75 frames  25.0 fps");
  EXPECT_EQ(ProgressText(75, 0, 3), "75 frames  25.0 fps");
}

TEST(Progress, PrintsNothingWhenQuietAndNothingTooEarlyElsewhere) {
  testing::internal::CaptureStderr();
  Progress quiet(true), fresh(false);
  for (int i = 0; i < 10; ++i) {
    quiet.Update(i, 10);
    fresh.Update(i, 10);
  }
  quiet.Clear();
  fresh.Clear();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_GE(fresh.seconds(), 0);
}

}  // namespace
}  // namespace lipcast::cli
