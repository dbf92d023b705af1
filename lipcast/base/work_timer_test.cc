#include "lipcast/base/work_timer.h"

#include <gtest/gtest.h>

#include <latch>
#include <thread>

namespace lipcast {
namespace {

void Work(int rounds) {
  volatile uint64_t value = 1;
  for (int i = 0; i < rounds; ++i) value = value * 6364136223846793005U + 1;
}

TEST(WorkTimer, CountsTheWorkOfItsOwnThreadAndNotItsWaits) {
  std::atomic<int64_t> cpu = 0, wall = 0;
  std::latch begin(1), done(1);
  std::jthread other([&] {
    begin.wait();
    Work(20'000'000);
    done.count_down();
  });
  {
    const WorkTimer cpu_timer(cpu, WorkClock::kThreadCpu);
    const WorkTimer wall_timer(wall, WorkClock::kWall);
    begin.count_down();
    done.wait();  // as long as the other works
  }
  EXPECT_GT(wall, 0);
  EXPECT_LT(cpu, wall / 2);
}

TEST(WorkTimer, AddsUpAndStopsOnce) {
  std::atomic<int64_t> total = 0;
  {
    WorkTimer timer(total, WorkClock::kThreadCpu);
    Work(1'000'000);
    timer.Stop();
    const int64_t first = total;
    EXPECT_GT(first, 0);
    timer.Stop();
    Work(1'000'000);
    EXPECT_EQ(total, first);
  }
  const int64_t before = total;
  {
    const WorkTimer timer(total, WorkClock::kThreadCpu);
    Work(1'000'000);
  }
  EXPECT_GT(total, before);
}

}  // namespace
}  // namespace lipcast
