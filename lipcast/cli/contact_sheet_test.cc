#include "lipcast/cli/contact_sheet.h"

#include <gtest/gtest.h>

#include <array>

#include "lipcast/avatar/test_package.h"

namespace lipcast::cli {
namespace {

constexpr int kGapPx = 4, kFrames = 10;
constexpr std::array<uint8_t, 3> kOutline = {60, 200, 80};

class ContactSheetTest : public testing::Test {
 protected:
  /// 10 frames of 32x24; frame i has its box at (i, 2, i + 20, 22), frame 7 none.
  Picture Draw() {
    avatar::WritePackage(folder_.path());
    auto loaded = avatar::Avatar::Load(folder_.path(), codecs_.codecs(), {});
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    auto sheet = DrawContactSheet(**loaded);
    EXPECT_TRUE(sheet.ok()) << sheet.status().ToString();
    return *std::move(sheet);
  }
  static std::array<uint8_t, 3> Pixel(const Picture& picture, int x, int y) {
    const PictureView view = picture.view();
    const uint8_t* at = view.plane[0] + y * view.stride[0] + 3 * x;
    return {at[0], at[1], at[2]};
  }

  TempFolder folder_;
  avatar::FakeCodecs codecs_;
};

TEST_F(ContactSheetTest, ShowsEveryFrameOfAShortAvatarInFourColumns) {
  const Picture sheet = Draw();
  EXPECT_EQ(sheet.width(), 4 * (32 + kGapPx) + kGapPx);
  EXPECT_EQ(sheet.height(), 3 * (24 + kGapPx) + kGapPx);
  EXPECT_EQ(sheet.format(), PixelFormat::kBgr24);
}

TEST_F(ContactSheetTest, OutlinesEachFramesOwnBoxAndNoneWhereThereIsNoFace) {
  const Picture sheet = Draw();
  for (int i = 0; i < kFrames; ++i) {
    const int left = kGapPx + i % 4 * (32 + kGapPx), top = kGapPx + i / 4 * (24 + kGapPx);
    const bool face = i != 7;
    EXPECT_EQ(Pixel(sheet, left + i, top + 2) == kOutline, face) << i;
    EXPECT_EQ(Pixel(sheet, left + i + 19, top + 21) == kOutline, face) << i;
    EXPECT_NE(Pixel(sheet, left + i + 10, top + 12), kOutline) << i;
    EXPECT_NE(Pixel(sheet, left + i - 1, top + 12), kOutline) << i;
  }
}

TEST_F(ContactSheetTest, LeavesTheGapsInTheirOwnColour) {
  const Picture sheet = Draw();
  EXPECT_EQ(Pixel(sheet, 0, 0), Pixel(sheet, sheet.width() - 1, sheet.height() - 1));
  EXPECT_EQ(Pixel(sheet, kGapPx + 32, kGapPx + 5), Pixel(sheet, 0, 0));
}

}  // namespace
}  // namespace lipcast::cli
