#include "lipcast/imaging/scratch.h"

#include <gtest/gtest.h>

#include "lipcast/imaging/test_pictures.h"

namespace lipcast::imaging {
namespace {

TEST(Scratch, KeepsTheTablesOfAShape) {
  Scratch scratch;
  const Result<const CubicResizer*> first = scratch.Resizer(168, 168, 184, 184, 3);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(scratch.Resizer(168, 168, 184, 185, 3).ok());
  ASSERT_TRUE(scratch.Resizer(168, 168, 184, 184, 1).ok());
  EXPECT_EQ(scratch.table_count(), 3u);
  const Result<const CubicResizer*> again = scratch.Resizer(168, 168, 184, 184, 3);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, *first);
  EXPECT_EQ((*again)->dst_height(), 184);
  EXPECT_EQ(scratch.table_count(), 3u);
}

TEST(Scratch, DropsTheTablesUnusedForLongestWhenFull) {
  Scratch scratch;
  const Result<const CubicResizer*> kept = scratch.Resizer(100, 100, 8000, 50, 3);
  ASSERT_TRUE(kept.ok());
  const CubicResizer* const address = *kept;
  const size_t fits = Scratch::kMaxTableBytes / (*kept)->table_bytes();
  for (int i = 0; i < static_cast<int>(2 * fits); ++i) {
    ASSERT_TRUE(scratch.Resizer(100, 101 + i, 8000, 50, 3).ok());
    const Result<const CubicResizer*> used = scratch.Resizer(100, 100, 8000, 50, 3);
    ASSERT_TRUE(used.ok());
    ASSERT_EQ(*used, address) << "dropped after " << i;
  }
  EXPECT_LE(scratch.table_count(), fits);
  EXPECT_GE(scratch.table_count(), fits - 1);
}

TEST(Scratch, PassesOnARefusedSize) {
  Scratch scratch;
  EXPECT_EQ(scratch.Resizer(0, 1, 1, 1, 3).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(scratch.table_count(), 0u);
}

TEST(Scratch, BuffersOfDifferentUsesNeverOverlap) {
  Scratch scratch;
  const auto a = scratch.Bytes(Scratch::Use::kArea, 100);
  const auto b = scratch.Bytes(Scratch::Use::kFresh, 100);
  std::fill(a.begin(), a.end(), uint8_t{1});
  std::fill(b.begin(), b.end(), uint8_t{2});
  EXPECT_EQ(a.size(), 100u);
  EXPECT_EQ(a[0] + a[99], 2);
  const auto larger = scratch.Bytes(Scratch::Use::kArea, 1000);
  EXPECT_EQ(larger.size(), 1000u);
  EXPECT_EQ(scratch.Bytes(Scratch::Use::kArea, 10).size(), 10u);
  EXPECT_EQ(scratch.Bytes(Scratch::Use::kArea, 1000).data(), larger.data());
}

}  // namespace
}  // namespace lipcast::imaging
