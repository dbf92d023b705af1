#include "lipcast/avatar/picture_cache.h"

#include <gtest/gtest.h>

namespace lipcast::avatar {
namespace {

SharedPicture GrayPicture(int width) {
  auto picture = Picture::Create(PixelFormat::kGray8, width, 1);
  EXPECT_TRUE(picture.ok());
  return std::make_shared<const Picture>(*std::move(picture));
}

TEST(PictureCache, DropsTheLeastRecentlyUsed) {
  PictureCache cache(300);
  for (int i = 0; i < 3; ++i) cache.Put(i, GrayPicture(100));
  EXPECT_NE(cache.Get(0), nullptr);  // 1 is now the oldest
  cache.Put(3, GrayPicture(100));
  EXPECT_TRUE(cache.Has(0));
  EXPECT_FALSE(cache.Has(1));
  EXPECT_TRUE(cache.Has(2));
  EXPECT_EQ(cache.Get(1), nullptr);
  EXPECT_EQ(cache.stats().bytes_held, 300);
  EXPECT_EQ(cache.stats().pictures, 3);
  EXPECT_EQ(cache.stats().evictions, 1);
  EXPECT_EQ(cache.stats().hits, 1);
}

TEST(PictureCache, NeverHoldsMoreThanItsBudget) {
  PictureCache cache(1'000);
  for (int i = 0; i < 200; ++i) {
    cache.Put(i, GrayPicture(1 + i * 37 % 400));
    ASSERT_LE(cache.stats().bytes_held, 1'000);
  }
  EXPECT_LE(cache.stats().bytes_peak, 1'000);
  EXPECT_GT(cache.stats().bytes_peak, 600);
}

TEST(PictureCache, APictureAboveTheBudgetIsNotKeptAndDropsNothing) {
  PictureCache cache(300);
  cache.Put(0, GrayPicture(200));
  cache.Put(1, GrayPicture(301));
  EXPECT_TRUE(cache.Has(0));
  EXPECT_FALSE(cache.Has(1));
}

TEST(PictureCache, PuttingAgainKeepsThePictureAndMakesItTheNewest) {
  PictureCache cache(200);
  const SharedPicture first = GrayPicture(100);
  cache.Put(0, first);
  cache.Put(1, GrayPicture(100));
  cache.Put(0, GrayPicture(100));
  cache.Put(2, GrayPicture(100));
  EXPECT_EQ(cache.Get(0), first);
  EXPECT_FALSE(cache.Has(1));
}

TEST(PictureCache, AHeldPictureOutlivesItsPlace) {
  PictureCache cache(100);
  cache.Put(0, GrayPicture(100));
  const SharedPicture held = cache.Get(0);
  cache.Put(1, GrayPicture(100));
  EXPECT_FALSE(cache.Has(0));
  EXPECT_EQ(held->width(), 100);
}

TEST(PictureCache, AShrunkBudgetDropsTheOldestAtOnce) {
  PictureCache cache(300);
  for (int i = 0; i < 3; ++i) cache.Put(i, GrayPicture(100));
  cache.ShrinkBudget(150);
  EXPECT_EQ(cache.stats().bytes_held, 100);
  EXPECT_TRUE(cache.Has(2));
  cache.Put(3, GrayPicture(100));
  EXPECT_EQ(cache.stats().bytes_held, 100);
}

}  // namespace
}  // namespace lipcast::avatar
