#include "lipcast/avatar/mouth_layout.h"

#include <gtest/gtest.h>

namespace lipcast::avatar {
namespace {

MouthLayout Layout(int inner_px, int border_px, Rect mask, int feather_px = 0) {
  return {inner_px, border_px, mask, false, feather_px};
}

TEST(MouthLayout, TheThreeKnownMouthsAreValid) {
  EXPECT_TRUE(MouthLayout().Validate().ok());
  EXPECT_TRUE(Layout(320, 4, {5, 5, 315, 310}).Validate().ok());
  EXPECT_TRUE(Layout(96, 0, {0, 48, 96, 96}, 48).Validate().ok());
  EXPECT_EQ(MouthLayout().resized_px(), 168);
}

TEST(MouthLayout, RefusesWhatIsOutOfRangeWithFieldValueAndLimit) {
  const auto refusal = [](const MouthLayout& layout) {
    const Status status = layout.Validate();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    return status.message();
  };
  EXPECT_EQ(refusal(Layout(0, 4, {0, 0, 1, 1})), "generator.inner_px = 0: want 16..2048");
  EXPECT_EQ(refusal(Layout(2049, 4, {0, 0, 1, 1})), "generator.inner_px = 2049: want 16..2048");
  EXPECT_EQ(refusal(Layout(16, -1, {0, 0, 1, 1})), "generator.border_px = -1: want 0..256");
  EXPECT_EQ(refusal(Layout(16, 257, {0, 0, 1, 1})), "generator.border_px = 257: want 0..256");
  EXPECT_EQ(refusal(Layout(16, 0, {0, 0, 1, 1}, 9)), "generator.feather_px = 9: want 0..8");
  EXPECT_EQ(refusal(Layout(16, 0, {0, 0, 1, 1}, -1)), "generator.feather_px = -1: want 0..8");
  EXPECT_EQ(refusal(Layout(160, 4, {5, 6, 161, 150})),
            "generator.mask = columns 5..161, rows 6..150: want at least one pixel, all inside the"
            " inner square 0..160");
  for (const Rect mask : {Rect{5, 5, 155, 161}, Rect{-1, 5, 155, 150}, Rect{5, -1, 155, 150},
                          Rect{5, 5, 5, 150}, Rect{5, 9, 155, 8}}) {
    EXPECT_FALSE(Layout(160, 4, mask).Validate().ok());
  }
}

}  // namespace
}  // namespace lipcast::avatar
