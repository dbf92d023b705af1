#include "lipcast/server/work_meter.h"

#include <gtest/gtest.h>

namespace lipcast::server {
namespace {

using std::chrono::milliseconds;

TEST(WorkMeter, TellsTheWorkOfASecondOfSpeech) {
  WorkMeter meter(25);
  Nanoseconds work{0};
  int told = 0;
  for (int frame = 0; frame < 101; ++frame) {
    work += milliseconds(8);
    if (const auto cost = meter.OnFrame(true, true, work)) {
      EXPECT_DOUBLE_EQ(*cost, 0.2);
      ++told;
    }
  }
  EXPECT_EQ(told, 4);
}

TEST(WorkMeter, SilenceIsNotMeasuredAndBeginsTheSecondAnew) {
  WorkMeter meter(25);
  Nanoseconds work{0};
  for (int frame = 0; frame < 1000; ++frame) {
    work += milliseconds(frame % 20 == 0 ? 1 : 8);
    EXPECT_FALSE(meter.OnFrame(frame % 20 != 0, true, work)) << frame;
  }
}

TEST(WorkMeter, FramesThatWereNotDrawnDoNotMakeTheOthersCheap) {
  WorkMeter meter(25);
  Nanoseconds work{0};
  for (int frame = 0; frame < 26; ++frame) {
    const bool drawn = frame % 2 == 0;
    work += drawn ? milliseconds(60) : milliseconds(0);
    const auto cost = meter.OnFrame(true, drawn, work);
    EXPECT_EQ(cost.has_value(), frame == 25);
    if (cost) {
      EXPECT_DOUBLE_EQ(*cost, 1.5);
    }
  }
}

TEST(WorkMeter, ASecondWithAFrameThatWasNotEncodedTellsNothing) {
  WorkMeter meter(25);
  for (int frame = 0; frame < 1000; ++frame) {
    if (frame % 20 == 19) meter.Restart();
    EXPECT_FALSE(meter.OnFrame(true, true, milliseconds(8 * frame))) << frame;
  }
}

TEST(WorkMeter, ASecondInWhichNothingIsDrawnTellsNothing) {
  WorkMeter meter(25);
  for (int frame = 0; frame < 100; ++frame) {
    EXPECT_FALSE(meter.OnFrame(true, false, milliseconds(frame)));
  }
}

}  // namespace
}  // namespace lipcast::server
