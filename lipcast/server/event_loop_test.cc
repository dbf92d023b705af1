#include "lipcast/server/event_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace lipcast::server {
namespace {

TEST(EventLoop, RunsWhatIsPostedInOrderOnOneThread) {
  std::vector<int> seen;
  {
    EventLoop loop;
    for (int i = 0; i < 1000; ++i) loop.Post([&seen, i] { seen.push_back(i); });
  }
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(EventLoop, TimersRunByTimeAndNeverEarly) {
  EventLoop loop;
  std::latch set(1), done(2);
  loop.Post([&] { set.wait(); });  // until both timers are there
  std::vector<int> order;
  const TimePoint now = std::chrono::steady_clock::now();
  const auto late = now + std::chrono::milliseconds(20);
  TimePoint ran{};
  loop.At(late, [&] {
    order.push_back(2);
    ran = std::chrono::steady_clock::now();
    done.count_down();
  });
  loop.At(now + std::chrono::milliseconds(5), [&] {
    order.push_back(1);
    done.count_down();
  });
  set.count_down();
  done.wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_GE(ran, late);
}

TEST(EventLoop, ItsEndRunsWhatIsPostedAndDropsTimers) {
  std::atomic<int> ran = 0;
  {
    EventLoop loop;
    loop.At(std::chrono::steady_clock::now() + std::chrono::hours(1), [&] { ran += 100; });
    loop.Post([&] {
      ++ran;
      loop.Post([&] { ++ran; });
    });
  }
  EXPECT_EQ(ran, 2);
}

TEST(EventLoop, ATaskThatThrowsIsToldAndTheNextRuns) {
  std::vector<std::string> told;
  int ran = 0;
  {
    EventLoop loop([&](const char* what) { told.emplace_back(what); });
    loop.Post([] { throw std::runtime_error("oh"); });
    loop.Post([&] { ++ran; });
    std::latch done(1);
    loop.At(std::chrono::steady_clock::now(), [] { throw std::bad_alloc(); });
    loop.At(std::chrono::steady_clock::now(), [&] { done.count_down(); });
    done.wait();
  }
  EXPECT_EQ(told, (std::vector<std::string>{"oh", "std::bad_alloc"}));
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace lipcast::server
