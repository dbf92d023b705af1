#include "lipcast/base/picture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace lipcast {
namespace {

constexpr PixelFormat kFormats[] = {PixelFormat::kBgr24, PixelFormat::kBgra32, PixelFormat::kI420,
                                    PixelFormat::kGray8};

TEST(Picture, HasTheBytesOfItsFormat) {
  EXPECT_EQ(PictureBytes(PixelFormat::kBgr24, 5, 3), 45);
  EXPECT_EQ(PictureBytes(PixelFormat::kBgra32, 5, 3), 60);
  EXPECT_EQ(PictureBytes(PixelFormat::kGray8, 5, 3), 15);
  EXPECT_EQ(PictureBytes(PixelFormat::kI420, 4, 2), 12);
  EXPECT_EQ(PictureBytes(PixelFormat::kI420, 5, 3), 15 + 2 * 6);  // odd sides round up
  EXPECT_EQ(PictureBytes(PixelFormat::kI420, 1, 1), 3);
  EXPECT_EQ(PictureBytes(PixelFormat::kBgra32, kMaxSidePx, kMaxSidePx), 268'435'456);
}

TEST(Picture, PacksItsPlanesOneAfterAnother) {
  std::vector<uint8_t> bytes(PictureBytes(PixelFormat::kI420, 5, 3));
  const PictureView view = PackedView(PixelFormat::kI420, 5, 3, std::as_const(bytes).data());
  EXPECT_EQ(view.plane[0], bytes.data());
  EXPECT_EQ(view.plane[1], bytes.data() + 15);
  EXPECT_EQ(view.plane[2], bytes.data() + 21);
  EXPECT_EQ(view.stride[0], 5);
  EXPECT_EQ(view.stride[1], 3);
  EXPECT_EQ(view.stride[2], 3);
}

TEST(Picture, RefusesSidesOutsideItsLimitsWithBoth) {
  for (const auto& [width, height] :
       {std::pair{0, 5}, {5, 0}, {-1, 5}, {5, -1}, {kMaxSidePx + 1, 1}, {1, kMaxSidePx + 1}}) {
    EXPECT_EQ(
        Picture::Create(PixelFormat::kBgr24, width, height).status(),
        Status(Code::kInvalidArgument, "picture size " + std::to_string(width) + "x" +
                                           std::to_string(height) + ": want 1..8192 each side"));
  }
  for (const auto& [width, height] : {std::pair{1, 1}, {kMaxSidePx, 1}, {1, kMaxSidePx}}) {
    const auto picture = Picture::Create(PixelFormat::kI420, width, height);
    ASSERT_TRUE(picture.ok());
    EXPECT_EQ(picture->width(), width);
    EXPECT_EQ(picture->height(), height);
    EXPECT_EQ(picture->size_bytes(), PictureBytes(PixelFormat::kI420, width, height));
  }
}

TEST(Picture, IsWritableToItsLastByte) {
  for (const PixelFormat format : kFormats) {
    auto picture = Picture::Create(format, 7, 5);
    ASSERT_TRUE(picture.ok());
    std::fill_n(picture->data(), picture->size_bytes(), uint8_t{9});
    const PictureView view = picture->view();
    const int last = PlaneCount(format) - 1;
    const uint8_t* end = view.plane[last] + view.stride[last] * PlaneHeight(format, last, 5);
    EXPECT_EQ(end, picture->data() + picture->size_bytes());
    EXPECT_EQ(end[-1], 9);
  }
}

TEST(Picture, KeepsItsPixelsWhenMoved) {
  auto made = Picture::Create(PixelFormat::kGray8, 2, 2);
  ASSERT_TRUE(made.ok());
  const uint8_t* data = made->data();
  const Picture moved = *std::move(made);
  EXPECT_EQ(moved.view().plane[0], data);
}

TEST(Crop, StartsAtTheCornerAndKeepsTheStride) {
  for (const PixelFormat format :
       {PixelFormat::kBgr24, PixelFormat::kBgra32, PixelFormat::kGray8}) {
    const int pixel = PlaneWidthBytes(format, 0, 1);
    std::vector<uint8_t> bytes(PictureBytes(format, 10, 8));
    const PictureView whole = PackedView(format, 10, 8, std::as_const(bytes).data());
    const PictureView part = Crop(whole, {3, 2, 10, 8});
    EXPECT_EQ(part.width, 7);
    EXPECT_EQ(part.height, 6);
    EXPECT_EQ(part.stride[0], 10 * pixel);
    EXPECT_EQ(part.plane[0], bytes.data() + (2 * 10 + 3) * pixel);
    const PictureView inner = Crop(part, {1, 1, 2, 2});
    EXPECT_EQ(inner.plane[0], bytes.data() + (3 * 10 + 4) * pixel);
  }
}

TEST(Crop, OfAWritablePictureWritesInsideOnly) {
  std::vector<uint8_t> bytes(6 * 4, 1);
  const MutablePictureView part =
      Crop(PackedView(PixelFormat::kGray8, 6, 4, bytes.data()), {2, 1, 4, 3});
  for (int y = 0; y < part.height; ++y) {
    std::fill_n(part.plane[0] + y * part.stride[0], part.width, uint8_t{2});
  }
  const std::vector<uint8_t> want = {1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 1, 1,
                                     1, 1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_EQ(bytes, want);
}

/// Planes with `gap` bytes after each row, all bytes 0xEE before anything is written.
struct Padded {
  Padded(PixelFormat format, int width, int height, int gap) {
    view = {format, width, height, {}, {}};
    for (int p = 0; p < PlaneCount(format); ++p) {
      view.stride[p] = PlaneWidthBytes(format, p, width) + gap;
      planes[p].assign(static_cast<size_t>(view.stride[p] * PlaneHeight(format, p, height)), 0xEE);
      view.plane[p] = planes[p].data();
    }
  }
  std::vector<uint8_t> planes[3];
  MutablePictureView view;
};

TEST(CopyPicture, CopiesEveryPixelBetweenAnyStridesAndNothingElse) {
  for (const PixelFormat format : kFormats) {
    for (const int from_gap : {0, 3}) {
      for (const int to_gap : {0, 5}) {
        Padded from(format, 7, 5, from_gap), to(format, 7, 5, to_gap);
        for (auto& plane : from.planes) {
          for (size_t i = 0; i < plane.size(); ++i) plane[i] = static_cast<uint8_t>(i % 200);
        }
        CopyPicture(from.view, to.view);
        for (int p = 0; p < PlaneCount(format); ++p) {
          for (int y = 0; y < PlaneHeight(format, p, 5); ++y) {
            const int row_bytes = PlaneWidthBytes(format, p, 7);
            const uint8_t* got = to.view.plane[p] + y * to.view.stride[p];
            EXPECT_TRUE(
                std::equal(got, got + row_bytes, from.view.plane[p] + y * from.view.stride[p]));
            EXPECT_EQ(std::count(got + row_bytes, got + row_bytes + to_gap, 0xEE), to_gap);
          }
        }
      }
    }
  }
}

TEST(Rect, IsHalfOpen) {
  const Rect rect{5, 6, 155, 150};
  EXPECT_EQ(rect.width(), 150);
  EXPECT_EQ(rect.height(), 144);
  EXPECT_FALSE(rect.empty());
  EXPECT_TRUE((Rect{5, 6, 5, 150}).empty());
  EXPECT_TRUE((Rect{5, 6, 155, 5}).empty());
}

}  // namespace
}  // namespace lipcast
