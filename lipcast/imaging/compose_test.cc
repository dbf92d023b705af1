#include "lipcast/imaging/compose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "lipcast/imaging/colour.h"
#include "lipcast/imaging/colour_reference.h"
#include "lipcast/imaging/pack.h"
#include "lipcast/imaging/resize_reference.h"
#include "lipcast/imaging/test_pictures.h"

namespace lipcast::imaging {
namespace {

using avatar::MouthLayout;
using testing::AllOf;
using testing::HasSubstr;

const MouthLayout kSmall{.inner_px = 40, .border_px = 2, .mask = {2, 2, 38, 36}};

MouthCompositor Make(const MouthLayout& layout, const PictureView* mask = nullptr) {
  Result<MouthCompositor> compositor = MouthCompositor::Create(layout, mask);
  EXPECT_TRUE(compositor.ok()) << compositor.status().message();
  return *std::move(compositor);
}

TestPicture Mouth(const MouthLayout& layout, uint32_t seed) {
  return {PixelFormat::kBgr24, layout.resized_px(), layout.resized_px(), seed};
}

TestPicture CopyOf(const TestPicture& picture, int padding = 0) {
  TestPicture copy(picture.view().format, picture.view().width, picture.view().height, 1, padding);
  CopyPicture(picture.view(), copy.view());
  return copy;
}

// Every byte of plane p of `a` and `b` is equal, save in samples [rect].
bool EqualOutside(const PictureView& a, const PictureView& b, int p, const Rect& rect) {
  const int pixel_bytes = p == 0 ? PlaneWidthBytes(a.format, 0, 1) : 1;
  for (int y = 0; y < PlaneHeight(a.format, p, a.height); ++y) {
    for (int x = 0; x < PlaneWidthBytes(a.format, p, a.width); ++x) {
      const int column = x / pixel_bytes;
      if (y >= rect.y0 && y < rect.y1 && column >= rect.x0 && column < rect.x1) continue;
      if (a.plane[p][y * a.stride[p] + x] != b.plane[p][y * b.stride[p] + x]) return false;
    }
  }
  return true;
}

bool OnlyTheBoxChanged(const PictureView& before, const PictureView& after, const Rect& box) {
  const Rect blocks{box.x0 / 2, box.y0 / 2, (box.x1 + 1) / 2, (box.y1 + 1) / 2};
  for (int p = 0; p < PlaneCount(before.format); ++p) {
    if (!EqualOutside(before, after, p, p == 0 ? box : blocks)) return false;
  }
  return true;
}

struct Place {
  int frame_w, frame_h;
  Rect box;
};

// Odd sizes, boxes at every edge, of one pixel, narrow, larger than the network's square.
std::vector<Place> Places() {
  return {{641, 361, {101, 51, 182, 130}},
          {641, 361, {0, 0, 45, 60}},
          {641, 361, {597, 300, 641, 361}},
          {641, 361, {100, 50, 144, 94}},
          {641, 361, {33, 40, 34, 41}},
          {641, 361, {640, 360, 641, 361}},
          {641, 361, {200, 11, 207, 300}},
          {641, 361, {0, 0, 641, 361}},
          {1, 1, {0, 0, 1, 1}},
          {2, 3, {1, 0, 2, 3}},
          {8191, 4, {1, 1, 8190, 3}}};
}

constexpr PixelFormat kFormats[] = {PixelFormat::kBgr24, PixelFormat::kBgra32, PixelFormat::kI420};

TEST(MouthCompositor, CropIsTheBoxAsBgrCubicResized) {
  const MouthCompositor compositor = Make(kSmall);
  Scratch scratch;
  for (const Place& place : Places()) {
    for (PixelFormat format : kFormats) {
      const TestPicture frame(format, place.frame_w, place.frame_h, 11);
      TestPicture bgr(PixelFormat::kBgr24, place.frame_w, place.frame_h, 12);
      if (format == PixelFormat::kBgr24) bgr = CopyOf(frame);
      if (format == PixelFormat::kI420) I420ToBgrReference(frame.view(), bgr.view());
      for (int y = 0; format == PixelFormat::kBgra32 && y < place.frame_h; ++y) {
        for (int x = 0; x < place.frame_w; ++x) {
          std::copy_n(frame.view().plane[0] + y * frame.view().stride[0] + 4 * x, 3,
                      bgr.view().plane[0] + y * bgr.view().stride[0] + 3 * x);
        }
      }
      const TestPicture expected = Mouth(kSmall, 13);
      CubicResizeReference(Crop(PictureView(bgr.view()), place.box), expected.view(), 3);
      const TestPicture resized = Mouth(kSmall, 14);
      const Status status =
          compositor.CropResized(frame.view(), place.box, resized.view(), scratch);
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_EQ(MaxDifference(expected.view(), resized.view()), 0)
          << place.frame_w << " wide, box at " << place.box.x0;
    }
  }
}

TEST(MouthCompositor, ExactPasteIsTheResizedMouthInTheBoxAndNothingElse) {
  const MouthCompositor compositor = Make(kSmall);
  Scratch scratch;
  const TestPicture mouth = Mouth(kSmall, 20);
  for (const Place& place : Places()) {
    const Rect& box = place.box;
    TestPicture expected(PixelFormat::kBgr24, box.width(), box.height(), 21);
    CubicResizeReference(mouth.view(), expected.view(), 3);
    for (PixelFormat format : kFormats) {
      const TestPicture before(format, place.frame_w, place.frame_h, 22);
      const TestPicture after = CopyOf(before, 19);
      const Status status = compositor.Paste(mouth.view(), box, 1.0f, after.view(), scratch);
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_TRUE(OnlyTheBoxChanged(before.view(), after.view(), box)) << box.x0;
      ASSERT_TRUE(after.GuardsIntact()) << box.x0;
      if (format == PixelFormat::kI420) {
        // All the chroma and the box's luma come from the frame as BGR with the box overwritten.
        const TestPicture bgr(PixelFormat::kBgr24, place.frame_w, place.frame_h, 23);
        I420ToBgrReference(before.view(), bgr.view());
        CopyPicture(expected.view(), Crop(bgr.view(), box));
        const TestPicture i420(PixelFormat::kI420, place.frame_w, place.frame_h, 24);
        BgrToI420Reference(bgr.view(), i420.view());
        const auto same = [&](int p, int x, int y) {
          return after.view().plane[p][y * after.view().stride[p] + x] ==
                 i420.view().plane[p][y * i420.view().stride[p] + x];
        };
        for (int y = box.y0; y < box.y1; ++y) {
          for (int x = box.x0; x < box.x1; ++x) {
            ASSERT_TRUE(same(0, x, y) && same(1, x / 2, y / 2) && same(2, x / 2, y / 2))
                << x << "," << y;
          }
        }
        continue;
      }
      for (int y = box.y0; y < box.y1; ++y) {
        for (int x = box.x0; x < box.x1; ++x) {
          for (int c = 0; c < 3; ++c) {
            ASSERT_EQ(after.at(x, y, c), expected.at(x - box.x0, y - box.y0, c));
          }
          if (format == PixelFormat::kBgra32) {
            ASSERT_EQ(after.at(x, y, 3), before.at(x, y, 3));
          }
        }
      }
    }
  }
}

// The marker model M1: the network returns the picture that it was shown.
TEST(MouthCompositor, AModelThatReturnsItsPictureLeavesTheFrameWithinOneLevel) {
  const MouthLayout layout;
  const MouthCompositor compositor = Make(layout);
  const Rect box{201, 97, 201 + layout.resized_px(), 97 + layout.resized_px()};
  for (PixelFormat format : {PixelFormat::kBgr24, PixelFormat::kBgra32}) {
    Scratch scratch;
    const TestPicture before(format, 641, 361, 30);
    const TestPicture after = CopyOf(before, 8);
    const TestPicture resized = Mouth(layout, 31);
    std::vector<float> planes(6 * static_cast<size_t>(layout.inner_px) * layout.inner_px);
    ASSERT_TRUE(compositor.CropResized(after.view(), box, resized.view(), scratch).ok());
    PackMouth(layout, resized.view(), planes);
    ASSERT_EQ(UnpackMouth(layout, std::span(planes).first(planes.size() / 2), resized.view()), 0);
    ASSERT_TRUE(compositor.Paste(resized.view(), MouthPaste{box}, after.view(), scratch).ok());
    EXPECT_TRUE(OnlyTheBoxChanged(before.view(), after.view(), box));
    EXPECT_LE(MaxDifference(before.view(), after.view()), 1);
    EXPECT_TRUE(after.GuardsIntact());
  }
}

TEST(MouthCompositor, ARedFaceStaysRedThroughEveryFormat) {
  const MouthLayout layout;
  const MouthCompositor compositor = Make(layout);
  const Rect box{31, 21, 220, 214};
  for (PixelFormat format : kFormats) {
    Scratch scratch;
    TestPicture frame(format, 301, 261, 40);
    TestPicture red(PixelFormat::kBgr24, 301, 261, 41);
    red.Fill({10, 20, 230});
    if (format == PixelFormat::kI420) {
      BgrToI420Reference(red.view(), frame.view());
    } else {
      frame.Fill(format == PixelFormat::kBgr24 ? std::initializer_list<uint8_t>{10, 20, 230}
                                               : std::initializer_list<uint8_t>{10, 20, 230, 255});
    }
    const TestPicture resized = Mouth(layout, 42);
    std::vector<float> planes(6 * static_cast<size_t>(layout.inner_px) * layout.inner_px);
    ASSERT_TRUE(compositor.CropResized(frame.view(), box, resized.view(), scratch).ok());
    PackMouth(layout, resized.view(), planes);
    ASSERT_EQ(UnpackMouth(layout, std::span(planes).first(planes.size() / 2), resized.view()), 0);
    ASSERT_TRUE(compositor.Paste(resized.view(), box, 1.0f, frame.view(), scratch).ok());
    TestPicture out(PixelFormat::kBgr24, 301, 261, 43);
    if (format == PixelFormat::kI420) {
      I420ToBgrReference(frame.view(), out.view());
    } else {
      CubicResizeReference(resized.view(), out.view(), 3);
      for (int x = 31; x < 220; ++x) {
        for (int c = 0; c < 3; ++c) EXPECT_LE(std::abs(frame.at(x, 100, c) - red.at(x, 100, c)), 1);
      }
    }
    EXPECT_LE(MaxDifference(red.view(), out.view()), format == PixelFormat::kI420 ? 3 : 1);
  }
}

TEST(MouthCompositor, WeightZeroLeavesEveryByte) {
  const MouthCompositor compositor = Make(kSmall);
  Scratch scratch;
  for (PixelFormat format : kFormats) {
    const TestPicture before(format, 99, 77, 50);
    const TestPicture after = CopyOf(before);
    ASSERT_TRUE(
        compositor.Paste(Mouth(kSmall, 51).view(), {11, 9, 70, 60}, 0.0f, after.view(), scratch)
            .ok());
    EXPECT_EQ(MaxDifference(before.view(), after.view()), 0);
  }
}

TEST(MouthCompositor, WeightMixesTheFrameAndTheMouth) {
  const MouthCompositor compositor = Make(kSmall);
  Scratch scratch;
  const Rect box{11, 9, 70, 60};
  for (PixelFormat format : kFormats) {
    const TestPicture before(format, 99, 77, 52);
    const TestPicture whole = CopyOf(before), half = CopyOf(before);
    const TestPicture mouth = Mouth(kSmall, 53);
    ASSERT_TRUE(compositor.Paste(mouth.view(), box, 1.0f, whole.view(), scratch).ok());
    ASSERT_TRUE(compositor.Paste(mouth.view(), box, 0.25f, half.view(), scratch).ok());
    EXPECT_TRUE(OnlyTheBoxChanged(before.view(), half.view(), box));
    const float share = std::lround(0.25f * 255) / 255.0f;
    for (int p = 0; p < PlaneCount(format); ++p) {
      for (int y = 0; y < PlaneHeight(format, p, 77); ++y) {
        for (int x = 0; x < PlaneWidthBytes(format, p, 99); ++x) {
          const auto at = [&](const TestPicture& t) {
            return static_cast<float>(t.view().plane[p][y * t.view().stride[p] + x]);
          };
          ASSERT_NEAR(at(half), at(before) + share * (at(whole) - at(before)), 0.51f)
              << "plane " << p << " at " << x << "," << y;
        }
      }
    }
  }
}

TEST(MouthCompositor, FeatherKeepsTheBorderAndRisesLinearly) {
  MouthLayout layout{.inner_px = 80, .border_px = 10, .mask = {}};
  layout.feather_px = 20;
  const MouthCompositor compositor = Make(layout);
  Scratch scratch;
  TestPicture frame(PixelFormat::kBgr24, 140, 120, 60), mouth = Mouth(layout, 61);
  frame.Fill({0, 0, 0});
  mouth.Fill({200, 200, 200});
  const Rect box{21, 9, 121, 109};  // at scale 1
  ASSERT_TRUE(compositor.Paste(mouth.view(), box, 1.0f, frame.view(), scratch).ok());
  for (int d = 0; d < 50; ++d) {  // from the box's edge to its middle, from all four sides
    const double expected = 200 * std::clamp((d + 0.5 - 10) / 20, 0.0, 1.0);
    EXPECT_NEAR(frame.at(21 + d, 59), expected, 1.0) << d;
    EXPECT_NEAR(frame.at(120 - d, 59), expected, 1.0) << d;
    EXPECT_NEAR(frame.at(71, 9 + d), expected, 1.0) << d;
    EXPECT_NEAR(frame.at(71, 108 - d), expected, 1.0) << d;
    EXPECT_NEAR(frame.at(21 + d, 9 + d), expected, 1.0) << d;
    if (d < 10) {
      EXPECT_EQ(frame.at(21 + d, 59), 0) << d;
    }
  }
}

TEST(MouthCompositor, SoftPastesLeaveTheBorderBitForBit) {
  MouthLayout layout{.inner_px = 60, .border_px = 8, .mask = {}};
  const TestPicture white_mask(PixelFormat::kGray8, 60, 60, 0);
  std::fill_n(white_mask.view().plane[0], 60 * 60, uint8_t{255});
  const PictureView mask_view = white_mask.view();
  const Rect box{13, 7, 165, 159};  // twice the square of 76
  const Rect inner{13 + 16, 7 + 16, 165 - 16, 159 - 16};
  for (int feather_px : {0, 12}) {
    layout.feather_px = feather_px;
    const MouthCompositor compositor = Make(layout, feather_px == 0 ? &mask_view : nullptr);
    Scratch scratch;
    for (PixelFormat format : kFormats) {
      const TestPicture before(format, 200, 170, 62);
      const TestPicture after = CopyOf(before, 8);
      ASSERT_TRUE(
          compositor.Paste(Mouth(layout, 63).view(), box, 1.0f, after.view(), scratch).ok());
      EXPECT_TRUE(OnlyTheBoxChanged(before.view(), after.view(), inner)) << feather_px;
      EXPECT_GT(MaxDifference(before.view(), after.view()), 100);
      EXPECT_TRUE(after.GuardsIntact());
    }
  }
}

TEST(MouthCompositor, ABlackMaskShowsTheFrameAndAWhiteOneTheMouth) {
  const TestPicture mask(PixelFormat::kGray8, 40, 40, 0);
  for (int y = 0; y < 40; ++y) std::fill_n(mask.view().plane[0] + 40 * y, 40, y < 20 ? 0 : 255);
  const PictureView mask_view = mask.view();
  const MouthCompositor compositor = Make(kSmall, &mask_view);
  const MouthCompositor exact = Make(kSmall);
  Scratch scratch;
  const Rect box{10, 12, 98, 100};  // twice the square of 44
  for (PixelFormat format : kFormats) {
    const TestPicture before(format, 120, 110, 70);
    const TestPicture masked = CopyOf(before), whole = CopyOf(before);
    const TestPicture mouth = Mouth(kSmall, 71);
    ASSERT_TRUE(compositor.Paste(mouth.view(), box, 1.0f, masked.view(), scratch).ok());
    ASSERT_TRUE(exact.Paste(mouth.view(), box, 1.0f, whole.view(), scratch).ok());
    for (int x = 14; x < 94; ++x) {
      EXPECT_EQ(masked.at(x, 20), before.at(x, 20)) << x;
      EXPECT_EQ(masked.at(x, 70), whole.at(x, 70)) << x;
    }
  }
}

TEST(MouthCompositor, RefusesABoxOutsideThePictureAndNamesBoth) {
  const MouthCompositor compositor = Make(kSmall);
  Scratch scratch;
  const TestPicture frame(PixelFormat::kBgr24, 120, 90, 80), before = CopyOf(frame);
  const TestPicture mouth = Mouth(kSmall, 81);
  for (const Rect& box : {Rect{-1, 0, 20, 20}, Rect{0, -1, 20, 20}, Rect{100, 10, 121, 30},
                          Rect{10, 80, 30, 91}, Rect{20, 20, 20, 30}, Rect{20, 20, 30, 10}}) {
    for (const Status& status :
         {compositor.Paste(mouth.view(), box, 1.0f, frame.view(), scratch),
          compositor.CropResized(frame.view(), box, mouth.view(), scratch)}) {
      EXPECT_EQ(status.code(), Code::kInvalidArgument);
      EXPECT_THAT(
          status.message(),
          AllOf(HasSubstr("columns " + std::to_string(box.x0) + ".." + std::to_string(box.x1)),
                HasSubstr("rows " + std::to_string(box.y0)), HasSubstr("120x90")));
    }
  }
  EXPECT_EQ(MaxDifference(before.view(), frame.view()), 0);
}

TEST(MouthCompositor, RefusesWrongWeightsFormatsSizesAndLayouts) {
  const MouthCompositor compositor = Make(kSmall);
  Scratch scratch;
  const TestPicture frame(PixelFormat::kBgr24, 120, 90, 82), gray(PixelFormat::kGray8, 120, 90, 83);
  const TestPicture mouth = Mouth(kSmall, 84), other(PixelFormat::kBgr24, 43, 44, 85);
  const Rect box{1, 2, 50, 60};
  const auto message = [&](const TestPicture& m, float weight, const TestPicture& f) {
    return compositor.Paste(m.view(), box, weight, f.view(), scratch).message();
  };
  EXPECT_THAT(message(mouth, 1.5f, frame), HasSubstr("weight = 1.5"));
  EXPECT_THAT(message(mouth, -0.1f, frame), HasSubstr("want 0..1"));
  EXPECT_THAT(message(mouth, std::nanf(""), frame), HasSubstr("want 0..1"));
  EXPECT_THAT(message(mouth, 1.0f, gray), HasSubstr("gray8"));
  EXPECT_THAT(message(other, 1.0f, frame), HasSubstr("43x44: want bgr24 44x44"));
  EXPECT_THAT(compositor.CropResized(frame.view(), box, other.view(), scratch).message(),
              HasSubstr("43x44"));

  const auto create = [](MouthLayout layout, const PictureView* mask = nullptr) {
    return MouthCompositor::Create(layout, mask).status().message();
  };
  EXPECT_THAT(create({.inner_px = 0}), HasSubstr("inner_px = 0"));
  EXPECT_THAT(create({.inner_px = 160, .border_px = -1}), HasSubstr("border_px = -1"));
  EXPECT_THAT(create({.inner_px = 8190, .border_px = 2}), HasSubstr("at most 8192"));
  EXPECT_THAT(create({.inner_px = 160, .feather_px = 81}), HasSubstr("want 0..80"));
  const PictureView wrong_mask = gray.view();
  EXPECT_THAT(create(kSmall, &wrong_mask), HasSubstr("120x90: want gray8 40x40"));
}

TEST(MouthCompositor, EightWorkersGetTheSameFrames) {
  MouthLayout layout = kSmall;
  layout.feather_px = 6;
  const MouthCompositor compositor = Make(layout);
  const TestPicture mouth = Mouth(layout, 90);
  const auto compose = [&](const TestPicture& frame, Scratch& scratch) {
    for (int i = 0; i < 12; ++i) {
      const Rect box{3 * i, 2 * i, 3 * i + 44 + i % 5, 2 * i + 41 + i % 3};
      const TestPicture crop = CopyOf(mouth);
      ASSERT_TRUE(compositor.CropResized(frame.view(), box, crop.view(), scratch).ok());
      ASSERT_TRUE(compositor.Paste(mouth.view(), box, 0.7f, frame.view(), scratch).ok());
    }
  };
  Scratch serial;
  const TestPicture expected(PixelFormat::kI420, 121, 91, 91);
  compose(expected, serial);
  std::vector<int> difference(8, -1);
  std::vector<std::thread> workers;
  for (size_t w = 0; w < difference.size(); ++w) {
    workers.emplace_back([&, w] {
      Scratch scratch;
      const TestPicture frame(PixelFormat::kI420, 121, 91, 91);
      compose(frame, scratch);
      difference[w] = MaxDifference(expected.view(), frame.view());
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(difference, std::vector<int>(8, 0));
}

TEST(ConvertPicture, EveryPairEqualsItsStepsAtOddSizes) {
  Scratch scratch;
  const TestPicture i420(PixelFormat::kI420, 33, 17, 1), bgra(PixelFormat::kBgra32, 33, 17, 2);
  const TestPicture bgr(PixelFormat::kBgr24, 33, 17, 3);
  const auto into = [&](const TestPicture& from, PixelFormat format) {
    TestPicture to(format, 33, 17, 4, 3);
    EXPECT_TRUE(ConvertPicture(from.view(), to.view(), scratch).ok());
    EXPECT_TRUE(to.GuardsIntact());
    return to;
  };
  const TestPicture want_bgr(PixelFormat::kBgr24, 33, 17, 5), flat(PixelFormat::kBgr24, 33, 17, 6);
  const TestPicture want_i420(PixelFormat::kI420, 33, 17, 7);
  I420ToBgr(i420.view(), want_bgr.view());
  EXPECT_EQ(MaxDifference(into(i420, PixelFormat::kBgr24).view(), want_bgr.view()), 0);
  BgrToI420(bgr.view(), want_i420.view());
  EXPECT_EQ(MaxDifference(into(bgr, PixelFormat::kI420).view(), want_i420.view()), 0);
  BgraToBgr(bgra.view(), flat.view());
  EXPECT_EQ(MaxDifference(into(bgra, PixelFormat::kBgr24).view(), flat.view()), 0);
  BgrToI420(flat.view(), want_i420.view());
  EXPECT_EQ(MaxDifference(into(bgra, PixelFormat::kI420).view(), want_i420.view()), 0);
  EXPECT_EQ(MaxDifference(into(bgra, PixelFormat::kBgra32).view(), bgra.view()), 0);
  EXPECT_EQ(MaxDifference(into(i420, PixelFormat::kI420).view(), i420.view()), 0);
}

TEST(ConvertPicture, RefusesOtherPairsAndSizesByName) {
  Scratch scratch;
  const TestPicture bgr(PixelFormat::kBgr24, 8, 6, 1), bgra(PixelFormat::kBgra32, 8, 6, 1);
  const TestPicture gray(PixelFormat::kGray8, 8, 6, 1), other(PixelFormat::kBgr24, 8, 5, 1);
  EXPECT_THAT(ConvertPicture(bgr.view(), bgra.view(), scratch).message(),
              HasSubstr("bgr24 to bgra32"));
  EXPECT_THAT(ConvertPicture(gray.view(), bgr.view(), scratch).message(), HasSubstr("gray8"));
  EXPECT_THAT(ConvertPicture(bgr.view(), other.view(), scratch).message(),
              AllOf(HasSubstr("8x6"), HasSubstr("8x5")));
}

TEST(ResizePicture, ResizesEveryPlaneOfEveryFormat) {
  Scratch scratch;
  for (const auto& [dst_w, dst_h] : {std::pair{320, 181}, std::pair{641, 361}, std::pair{1, 1}}) {
    for (PixelFormat format :
         {PixelFormat::kBgr24, PixelFormat::kBgra32, PixelFormat::kGray8, PixelFormat::kI420}) {
      const TestPicture src(format, 641, 361, 95), expected(format, dst_w, dst_h, 96);
      const TestPicture dst(format, dst_w, dst_h, 97, 30);
      ASSERT_TRUE(ResizePicture(src.view(), dst.view(), scratch).ok());
      for (int p = 0; p < PlaneCount(format); ++p) {
        const auto plane = [p](const MutablePictureView& v) {
          return MutablePictureView{v.format == PixelFormat::kI420 ? PixelFormat::kGray8 : v.format,
                                    p == 0 ? v.width : (v.width + 1) / 2,
                                    p == 0 ? v.height : (v.height + 1) / 2,
                                    {v.plane[p]},
                                    {v.stride[p]}};
        };
        CubicResizeReference(plane(src.view()), plane(expected.view()),
                             PlaneWidthBytes(plane(src.view()).format, 0, 1));
      }
      EXPECT_EQ(MaxDifference(expected.view(), dst.view()), 0) << dst_w;
      EXPECT_TRUE(dst.GuardsIntact());
    }
  }
  const TestPicture bgr(PixelFormat::kBgr24, 9, 9, 98), gray(PixelFormat::kGray8, 9, 9, 99);
  EXPECT_EQ(ResizePicture(bgr.view(), gray.view(), scratch).message(),
            "resize of bgr24 to gray8: want equal formats");
}

}  // namespace
}  // namespace lipcast::imaging
