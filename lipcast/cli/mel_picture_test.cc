#include "lipcast/cli/mel_picture.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace lipcast::cli {
namespace {

constexpr int kBands = 80;

/// Blue, green and red of one pixel, summed.
int Brightness(const Picture& picture, int x, int y) {
  const PictureView view = picture.view();
  const uint8_t* pixel = view.plane[0] + y * view.stride[0] + 3 * x;
  return pixel[0] + pixel[1] + pixel[2];
}

TEST(MelPicture, GrowsBrighterWithTheLevelAndStaysInItsScale) {
  // One frame a level, from below the floor to above the ceiling.
  const std::vector<float> levels = {-9, -4, -2, 0, 2, 4, 9};
  std::vector<float> mel;
  for (const float level : levels) mel.insert(mel.end(), kBands, level);
  const auto picture = DrawMel(mel, kBands);
  ASSERT_TRUE(picture.ok());
  const int step = picture->width() / static_cast<int>(levels.size());
  std::vector<int> seen;
  for (size_t i = 0; i < levels.size(); ++i) {
    seen.push_back(Brightness(*picture, static_cast<int>(i) * step, 0));
  }
  EXPECT_EQ(seen[0], seen[1]);
  for (size_t i = 2; i < 6; ++i) EXPECT_GT(seen[i], seen[i - 1]) << levels[i];
  EXPECT_EQ(seen[5], seen[6]);
}

TEST(MelPicture, DrawsLowBandsAtTheBottomAndTimeToTheRight) {
  std::vector<float> mel(2 * kBands, -4.0F);
  mel[kBands + 0] = 4;  // the lowest band of the second frame
  const auto picture = DrawMel(mel, kBands);
  ASSERT_TRUE(picture.ok());
  const int right = picture->width() - 1, bottom = picture->height() - 1;
  EXPECT_GT(Brightness(*picture, right, bottom), Brightness(*picture, 0, bottom));
  EXPECT_EQ(Brightness(*picture, right, 0), Brightness(*picture, 0, bottom));
}

TEST(MelPicture, ThinsWhatIsLongerThanTheWidestPicture) {
  const int frames = kMaxSidePx + 1000;
  std::vector<float> mel(static_cast<size_t>(frames) * kBands, -4.0F);
  for (int band = 0; band < kBands; ++band) mel[mel.size() - 1 - static_cast<size_t>(band)] = 4;
  const auto picture = DrawMel(mel, kBands);
  ASSERT_TRUE(picture.ok());
  EXPECT_EQ(picture->width(), kMaxSidePx);
  EXPECT_GT(picture->height(), 0);
}

TEST(MelPicture, DrawsWhatIsNoNumberAsTheFloor) {
  std::vector<float> mel(2 * kBands, -4.0F);
  mel[0] = std::numeric_limits<float>::quiet_NaN();
  mel[1] = -std::numeric_limits<float>::infinity();
  const auto picture = DrawMel(mel, kBands);
  ASSERT_TRUE(picture.ok());
  const int bottom = picture->height() - 1;
  EXPECT_EQ(Brightness(*picture, 0, bottom), Brightness(*picture, picture->width() - 1, bottom));
}

TEST(MelPicture, RefusesNoFramesInsteadOfDrawingNothing) {
  const auto picture = DrawMel({}, kBands);
  ASSERT_FALSE(picture.ok());
  EXPECT_EQ(picture.status().message(), "no mel frames to draw: the audio is empty");
}

}  // namespace
}  // namespace lipcast::cli
