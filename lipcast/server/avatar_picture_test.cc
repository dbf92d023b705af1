#include "lipcast/server/avatar_picture.h"

#include <gtest/gtest.h>

namespace lipcast::server {
namespace {

Picture Made(PixelFormat format, int width, int height, uint8_t value) {
  Picture picture = *Picture::Create(format, width, height);
  std::fill_n(picture.data(), picture.size_bytes(), value);
  return picture;
}

TEST(AvatarPicture, ShrinkingIsTheMeanOfEachBlock) {
  Picture picture = Made(PixelFormat::kBgr24, 5, 4, 10);  // the fifth column goes
  picture.data()[0] = 50;                                 // blue of the first pixel
  const auto small = Shrunk(picture.view(), 2);
  ASSERT_TRUE(small.ok()) << small.status().ToString();
  EXPECT_EQ(small->width(), 2);
  EXPECT_EQ(small->height(), 2);
  EXPECT_EQ(small->data()[0], 20);
  for (int i = 1; i < 12; ++i) EXPECT_EQ(small->data()[i], 10) << i;
}

TEST(AvatarPicture, PlanesShrinkToTheirOwnSizes) {
  const Picture picture = Made(PixelFormat::kI420, 12, 6, 77);
  const auto small = Shrunk(picture.view(), 4);
  ASSERT_TRUE(small.ok()) << small.status().ToString();
  EXPECT_EQ(small->format(), PixelFormat::kI420);
  EXPECT_EQ(small->width(), 3);
  EXPECT_EQ(small->height(), 1);
  for (size_t i = 0; i < small->size_bytes(); ++i) EXPECT_EQ(small->data()[i], 77) << i;
}

TEST(AvatarPicture, WhatIsTransparentIsWhite) {
  Picture picture = Made(PixelFormat::kBgra32, 1, 1, 0);
  const auto small = Shrunk(picture.view(), 1);
  ASSERT_TRUE(small.ok()) << small.status().ToString();
  EXPECT_EQ(small->format(), PixelFormat::kBgr24);
  EXPECT_EQ(small->data()[0], 255);
}

TEST(AvatarPicture, AFactorAboveASideIsRefused) {
  const Picture picture = Made(PixelFormat::kBgr24, 8, 2, 0);
  EXPECT_EQ(Shrunk(picture.view(), 3).status().message(), "factor = 3: want 1..2");
  EXPECT_FALSE(Shrunk(picture.view(), 0).ok());
  EXPECT_FALSE(Shrunk(Made(PixelFormat::kGray8, 8, 8, 0).view(), 2).ok());
}

}  // namespace
}  // namespace lipcast::server
