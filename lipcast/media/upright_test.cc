#include "lipcast/media/upright.h"

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using test::Make;

Picture Counting(PixelFormat format, int width, int height) {
  Picture picture = Make(format, width, height);
  for (size_t i = 0; i < picture.size_bytes(); ++i) picture.data()[i] = static_cast<uint8_t>(i + 1);
  return picture;
}

TEST(Upright, EveryExifTagMovesTheCornersWhereItSays) {
  // Stored   1 2 3
  //          4 5 6
  const Picture stored = Counting(PixelFormat::kGray8, 3, 2);
  const std::vector<std::vector<uint8_t>> wanted = {
      {1, 2, 3, 4, 5, 6}, {3, 2, 1, 6, 5, 4}, {6, 5, 4, 3, 2, 1}, {4, 5, 6, 1, 2, 3},
      {1, 4, 2, 5, 3, 6}, {4, 1, 5, 2, 6, 3}, {6, 3, 5, 2, 4, 1}, {3, 6, 2, 5, 1, 4}};
  for (int tag = 1; tag <= 8; ++tag) {
    const auto turned = MakeUpright(stored.view(), OrientationFromExif(tag));
    LC_ASSERT_OK(turned);
    EXPECT_EQ(turned->width(), tag < 5 ? 3 : 2);
    EXPECT_EQ(std::vector<uint8_t>(turned->data(), turned->data() + 6),
              wanted[static_cast<size_t>(tag - 1)])
        << tag;
  }
}

TEST(Upright, ATurnAndItsInverseGiveTheSamePictureInEveryFormat) {
  const Orientation right = OrientationFromExif(6), left = OrientationFromExif(8);
  for (const PixelFormat format :
       {PixelFormat::kBgr24, PixelFormat::kBgra32, PixelFormat::kI420, PixelFormat::kGray8}) {
    const Picture stored = Counting(format, 7, 4);
    const auto there = MakeUpright(stored.view(), right);
    LC_ASSERT_OK(there);
    EXPECT_EQ(there->width(), 4);
    EXPECT_NE(std::memcmp(there->data(), stored.data(), stored.size_bytes()), 0);
    const auto back = MakeUpright(there->view(), left);
    LC_ASSERT_OK(back);
    EXPECT_EQ(std::memcmp(back->data(), stored.data(), stored.size_bytes()), 0);
  }
}

TEST(Upright, AMatrixIsReadToTheNearestQuarterTurn) {
  constexpr int32_t kOne = 1 << 16;
  const auto from = [](int32_t a, int32_t b, int32_t c, int32_t d) {
    const int32_t matrix[9] = {a, b, 0, c, d, 0, 0, 0, 1 << 30};
    return OrientationFromMatrix(matrix);
  };
  EXPECT_EQ(from(kOne, 0, 0, kOne), OrientationFromExif(1));
  EXPECT_EQ(from(-kOne, 0, 0, kOne), OrientationFromExif(2));
  EXPECT_EQ(from(-kOne, 0, 0, -kOne), OrientationFromExif(3));
  EXPECT_EQ(from(0, kOne, -kOne, 0), OrientationFromExif(6));
  EXPECT_EQ(from(0, -kOne, kOne, 0), OrientationFromExif(8));
  EXPECT_EQ(from(kOne, kOne / 9, -kOne / 9, kOne), OrientationFromExif(1));
  EXPECT_EQ(from(INT32_MIN, 0, 0, INT32_MIN), OrientationFromExif(3));
}

}  // namespace
}  // namespace lipcast::media
