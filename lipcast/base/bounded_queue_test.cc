#include "lipcast/base/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace lipcast {
namespace {

TEST(BoundedQueue, GivesItemsInTheOrderTheyCame) {
  BoundedQueue<int> queue(3);
  for (const int item : {1, 2, 3}) EXPECT_TRUE(queue.Push(item));
  EXPECT_EQ(queue.size(), 3);
  for (const int item : {1, 2, 3}) EXPECT_EQ(queue.Pop(), item);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
}

TEST(BoundedQueue, RefusesAnItemWhenFullAndLeavesItAsItWas) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  auto first = std::make_unique<int>(1), second = std::make_unique<int>(2);
  EXPECT_TRUE(queue.TryPush(first));
  EXPECT_EQ(first, nullptr);
  EXPECT_FALSE(queue.TryPush(second));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(*second, 2);
  EXPECT_EQ(queue.size(), 1);
}

TEST(BoundedQueue, HoldsOneItemAtLeast) {
  BoundedQueue<int> queue(0);
  EXPECT_EQ(queue.capacity(), 1);
  int item = 5;
  EXPECT_TRUE(queue.TryPush(item));
  EXPECT_FALSE(queue.TryPush(item));
}

TEST(BoundedQueue, GivesWhatIsQueuedAfterCloseAndThenNothing) {
  BoundedQueue<int> queue(4);
  queue.Push(1);
  queue.Push(2);
  queue.Close();
  queue.Close();
  int item = 3;
  EXPECT_FALSE(queue.Push(3));
  EXPECT_FALSE(queue.TryPush(item));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.TryPop(), 2);
  EXPECT_EQ(queue.Pop(), std::nullopt);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
}

TEST(BoundedQueue, WakesEveryWaitingWriterAndReaderOnClose) {
  BoundedQueue<int> empty(1), full(1);
  full.Push(0);
  std::atomic<int> without = 0, refused = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] { without += !empty.Pop().has_value(); });
    threads.emplace_back([&] { refused += !full.Push(1); });
  }
  empty.Close();
  full.Close();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(without, 3);
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(full.size(), 1);
}

TEST(BoundedQueue, MakesTheWriterWaitForTheReader) {
  BoundedQueue<int> queue(2);
  std::atomic<int> pushed = 0;
  std::thread writer([&] {
    for (int i = 0; i < 1000; ++i) {
      queue.Push(i);
      ++pushed;
    }
  });
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LE(pushed, i + 2);  // i taken, two queued; the third waits
    EXPECT_EQ(queue.Pop(), i);
  }
  writer.join();
}

TEST(BoundedQueue, LosesAndDoublesNothingAmongManyWritersAndReaders) {
  constexpr int kWriters = 4, kReaders = 4, kEach = 500;
  BoundedQueue<int> queue(3);
  std::vector<std::atomic<int>> seen(kWriters * kEach);
  std::atomic<int> out_of_order = 0;
  std::vector<std::thread> writers, readers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < kEach; ++i) queue.Push(w * kEach + i);
    });
  }
  for (int r = 0; r < kReaders; ++r) {
    readers.emplace_back([&] {
      int last[kWriters] = {-1, -1, -1, -1};
      while (const auto item = queue.Pop()) {
        ++seen[static_cast<size_t>(*item)];
        int& before = last[*item / kEach];
        out_of_order += *item <= before;
        before = *item;
      }
    });
  }
  for (std::thread& thread : writers) thread.join();
  queue.Close();
  for (std::thread& thread : readers) thread.join();
  for (const auto& count : seen) EXPECT_EQ(count, 1);
  EXPECT_EQ(out_of_order, 0);
}

}  // namespace
}  // namespace lipcast
