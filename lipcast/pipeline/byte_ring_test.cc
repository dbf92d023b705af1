#include "lipcast/pipeline/byte_ring.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace lipcast::pipeline {
namespace {

std::vector<std::byte> Count(size_t size, int first) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(first + static_cast<int>(i));
  return bytes;
}

std::vector<std::byte> ReadOf(const ByteRing& ring, int64_t position, size_t size) {
  std::vector<std::byte> bytes(size);
  ring.Read(position, bytes);
  return bytes;
}

TEST(ByteRing, KeepsPositionsAcrossManyTurns) {
  ByteRing ring(7);
  std::mt19937 random(1);
  std::deque<std::byte> model;
  int64_t begin = 0;
  int next = 0;
  for (int step = 0; step < 2000; ++step) {
    const auto bytes = Count(random() % (ring.room() + 1), next);
    next += static_cast<int>(bytes.size());
    ring.Append(bytes);
    model.insert(model.end(), bytes.begin(), bytes.end());
    ASSERT_EQ(ring.begin(), begin);
    ASSERT_EQ(ring.end(), begin + static_cast<int64_t>(model.size()));
    ASSERT_EQ(ring.room(), 7 - model.size());
    const size_t from = random() % (model.size() + 1);
    const size_t size = random() % (model.size() - from + 1);
    const std::vector<std::byte> want(model.begin() + static_cast<ptrdiff_t>(from),
                                      model.begin() + static_cast<ptrdiff_t>(from + size));
    ASSERT_EQ(ReadOf(ring, begin + static_cast<int64_t>(from), size), want);
    const size_t drop = random() % (model.size() + 1);
    begin += static_cast<int64_t>(drop);
    ring.DropBefore(begin);
    model.erase(model.begin(), model.begin() + static_cast<ptrdiff_t>(drop));
  }
}

TEST(ByteRing, FillsToTheLastByte) {
  ByteRing ring(5);
  ring.Append(Count(3, 0));
  ring.DropBefore(2);
  ring.Append(Count(4, 3));
  EXPECT_EQ(ring.room(), 0);
  EXPECT_EQ(ReadOf(ring, 2, 5), Count(5, 2));
}

TEST(ByteRing, TakesNewestBytesBackAndDropsNoMoreThanItHolds) {
  ByteRing ring(8);
  ring.Append(Count(6, 0));
  ring.DropBefore(2);
  ring.DropAfter(5);
  EXPECT_EQ(ring.end(), 5);
  ring.Append(Count(2, 50));
  EXPECT_EQ(ReadOf(ring, 4, 3), (std::vector{std::byte{4}, std::byte{50}, std::byte{51}}));
  ring.DropAfter(1);  // older than what is held
  EXPECT_EQ(ring.end(), 2);
  ring.DropBefore(99);
  EXPECT_EQ(ring.begin(), 2);
}

TEST(ByteRing, StartsAnewAtAnyPosition) {
  ByteRing ring(4);
  ring.Append(Count(4, 0));
  const int64_t far = int64_t{1} << 45;
  ring.ResetAt(far + 3);
  EXPECT_EQ(ring.room(), 4);
  ring.Append(Count(4, 9));
  EXPECT_EQ(ReadOf(ring, far + 3, 4), Count(4, 9));
}

}  // namespace
}  // namespace lipcast::pipeline
