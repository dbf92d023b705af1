#include "lipcast/base/clock.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace lipcast {
namespace {

using std::chrono::milliseconds;

TEST(FakeClock, MovesOnlyWhenTold) {
  FakeClock clock;
  const TimePoint start = clock.Now();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(milliseconds(40));
  EXPECT_EQ(clock.Now() - start, milliseconds(40));
}

TEST(FakeClock, AddsUpWhatManyThreadsTellIt) {
  FakeClock clock;
  const TimePoint start = clock.Now();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) clock.Advance(milliseconds(1));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(clock.Now() - start, milliseconds(400));
}

TEST(SteadyClock, NeverGoesBack) {
  const SteadyClock clock;
  TimePoint last = clock.Now();
  for (int i = 0; i < 1000; ++i) {
    const TimePoint now = clock.Now();
    ASSERT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace lipcast
