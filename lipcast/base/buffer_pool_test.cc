#include "lipcast/base/buffer_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <set>
#include <thread>
#include <type_traits>

namespace {
thread_local int64_t allocations_of_this_thread = 0;
}  // namespace

// Counts what the tested code allocates; the sanitizers' own operators are left alone. Inlined, g++
// would see malloc answered by delete.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations_of_this_thread;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
#endif

namespace lipcast {
namespace {

using Buffer = BufferPool::Buffer;

TEST(BufferPool, GivesBuffersOfItsSizeAgainAndAgain) {
  BufferPool pool(800);
  const uint8_t* first = nullptr;
  for (int turn = 0; turn < 10; ++turn) {
    Buffer buffer = pool.Take();
    ASSERT_EQ(buffer.size(), 800);
    ASSERT_EQ(buffer.bytes().size(), 800);
    std::ranges::fill(buffer.bytes(), uint8_t{1});
    if (turn == 0) first = buffer.data();
    EXPECT_EQ(buffer.data(), first);
    EXPECT_EQ(pool.out(), 1);
  }
  EXPECT_EQ(pool.out(), 0);
  EXPECT_EQ(pool.allocations(), 1);
}

TEST(BufferPool, NeverGivesOutABufferOfAnotherSize) {
  BufferPool small(640), large(800);
  std::set<const uint8_t*> of_small, of_large;
  for (int turn = 0; turn < 50; ++turn) {
    Buffer a = small.Take(), b = large.Take(), c = small.Take();
    ASSERT_EQ(a.size(), 640);
    ASSERT_EQ(b.size(), 800);
    of_small.insert({a.data(), c.data()});
    of_large.insert(b.data());
    std::swap(a, b);  // each still goes home to the pool it came from
    ASSERT_EQ(a.size(), 800);
    if (turn % 2 == 0) c = large.Take();  // and so does what is replaced
    if (turn % 2 == 0) of_large.insert(c.data());
  }
  EXPECT_EQ(small.out(), 0);
  EXPECT_EQ(large.out(), 0);
  EXPECT_EQ(small.allocations(), static_cast<int64_t>(of_small.size()));
  EXPECT_EQ(large.allocations(), static_cast<int64_t>(of_large.size()));
  for (const uint8_t* data : of_small) EXPECT_FALSE(of_large.contains(data));
  EXPECT_EQ(small.allocations(), 2);
  EXPECT_EQ(large.allocations(), 2);
}

TEST(BufferPool, CannotBeGivenAForeignBuffer) {
  static_assert(!std::is_constructible_v<Buffer, std::unique_ptr<uint8_t[]>>);
  static_assert(!std::is_copy_constructible_v<Buffer> && !std::is_copy_assignable_v<Buffer>);
  EXPECT_FALSE(Buffer());
  EXPECT_EQ(Buffer().size(), 0);
}

TEST(BufferPool, NeverLetsTwoHoldersShareABuffer) {
  BufferPool pool(64);
  std::vector<Buffer> held;
  std::set<const uint8_t*> distinct;
  for (int i = 0; i < 20; ++i) {
    held.push_back(pool.Take());
    distinct.insert(held.back().data());
  }
  EXPECT_EQ(distinct.size(), 20);
  EXPECT_EQ(pool.out(), 20);
  EXPECT_EQ(pool.allocations(), 20);
}

TEST(BufferPool, CountsAMovedBufferOnce) {
  BufferPool pool(8);
  Buffer a = pool.Take();
  Buffer b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT: what is left behind is the point
  EXPECT_EQ(pool.out(), 1);
  b = Buffer();
  EXPECT_EQ(pool.out(), 0);
}

TEST(BufferPool, KeepsABufferThatIsMovedOntoItself) {
  BufferPool pool(8);
  Buffer buffer = pool.Take();
  const uint8_t* data = buffer.data();
  Buffer& same = buffer;
  buffer = std::move(same);
  EXPECT_EQ(buffer.data(), data);
  EXPECT_EQ(buffer.size(), 8);
  EXPECT_EQ(pool.out(), 1);
}

TEST(BufferPool, MayGoBeforeItsBuffers) {
  auto pool = std::make_unique<BufferPool>(16);
  Buffer buffer = pool->Take();
  pool.reset();
  std::ranges::fill(buffer.bytes(), uint8_t{3});
  EXPECT_EQ(buffer.size(), 16);
}

TEST(BufferPool, AllocatesNothingInSteadyState) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer owns operator new";
#endif
  BufferPool pool(4096);
  { Buffer a = pool.Take(), b = pool.Take(), c = pool.Take(); }
  const int64_t before = allocations_of_this_thread;
  EXPECT_GT(before, 0);
  for (int turn = 0; turn < 100; ++turn) {
    Buffer a = pool.Take(), b = pool.Take(), c = pool.Take();
    a.data()[0] = b.data()[1] = c.data()[2] = 1;
  }
  EXPECT_EQ(allocations_of_this_thread, before);
  EXPECT_EQ(pool.allocations(), 3);
}

TEST(BufferPool, ServesManyThreadsWithoutMixingTheirBytes) {
  BufferPool pool(256);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int turn = 0; turn < 500; ++turn) {
        Buffer buffer = pool.Take();
        std::ranges::fill(buffer.bytes(), static_cast<uint8_t>(t));
        wrong += std::ranges::count(buffer.bytes(), static_cast<uint8_t>(t)) != 256;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(pool.out(), 0);
  EXPECT_LE(pool.allocations(), 8);
}

}  // namespace
}  // namespace lipcast
