#include "lipcast/imaging/colour.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "lipcast/imaging/colour_reference.h"
#include "lipcast/imaging/test_pictures.h"

namespace lipcast::imaging {
namespace {

constexpr double kRed = 0.2126, kBlue = 0.0722, kGreen = 1 - kRed - kBlue;

std::vector<std::pair<int, int>> Sizes() {
  std::vector<std::pair<int, int>> sizes = {{641, 361}, {8191, 3}, {8192, 2}, {1, 77}};
  for (int w = 1; w <= 70; ++w) sizes.emplace_back(w, 1 + w % 5);
  return sizes;
}

// The source is tight, so that a sanitizer sees a read past it; the destination is guarded.
template <typename Convert>
void ExpectEqualToReference(PixelFormat from, PixelFormat to, Convert fast, Convert plain) {
  for (const auto& [w, h] : Sizes()) {
    const TestPicture src(from, w, h, 5u + static_cast<uint32_t>(w));
    const TestPicture expected(to, w, h, 1), converted(to, w, h, 2, 45);
    plain(src.view(), expected.view());
    fast(src.view(), converted.view());
    ASSERT_EQ(MaxDifference(expected.view(), converted.view()), 0) << w << "x" << h;
    ASSERT_TRUE(converted.GuardsIntact()) << w << "x" << h;
  }
}

class ColourTargets : public EachTarget {};

TEST_P(ColourTargets, I420ToBgrEqualsThePlainReference) {
  ExpectEqualToReference(PixelFormat::kI420, PixelFormat::kBgr24, I420ToBgr, I420ToBgrReference);
}

TEST_P(ColourTargets, BgrToI420EqualsThePlainReference) {
  ExpectEqualToReference(PixelFormat::kBgr24, PixelFormat::kI420, BgrToI420, BgrToI420Reference);
}

TEST_P(ColourTargets, BgraLosesAndKeepsItsAlpha) {
  for (const auto& [w, h] : Sizes()) {
    const TestPicture bgra(PixelFormat::kBgra32, w, h, 3), bgr(PixelFormat::kBgr24, w, h, 4, 45);
    const TestPicture back(PixelFormat::kBgra32, w, h, 5, 45);
    const TestPicture before(PixelFormat::kBgra32, w, h, 5, 45);
    BgraToBgr(bgra.view(), bgr.view());
    BgrIntoBgra(bgr.view(), back.view());
    for (int y = 0; y < h; ++y) {
      for (int x = 0; x < w; ++x) {
        for (int c = 0; c < 3; ++c) {
          ASSERT_EQ(bgr.at(x, y, c), bgra.at(x, y, c)) << w << "x" << h;
          ASSERT_EQ(back.at(x, y, c), bgra.at(x, y, c)) << w << "x" << h;
        }
        ASSERT_EQ(back.at(x, y, 3), before.at(x, y, 3)) << w << "x" << h;
      }
    }
    ASSERT_TRUE(bgr.GuardsIntact() && back.GuardsIntact()) << w << "x" << h;
  }
}

TEST_P(ColourTargets, GreyComesBackWithinOneLevelAndStaysGrey) {
  for (int level = 0; level < 256; ++level) {
    TestPicture grey(PixelFormat::kBgr24, 37, 3, 1);
    grey.Fill(
        {static_cast<uint8_t>(level), static_cast<uint8_t>(level), static_cast<uint8_t>(level)});
    const TestPicture i420(PixelFormat::kI420, 37, 3, 2), back(PixelFormat::kBgr24, 37, 3, 3);
    BgrToI420(grey.view(), i420.view());
    EXPECT_EQ(i420.view().plane[1][0], 128);
    EXPECT_EQ(i420.view().plane[2][0], 128);
    I420ToBgr(i420.view(), back.view());
    EXPECT_LE(MaxDifference(grey.view(), back.view()), 1) << level;
    EXPECT_EQ(back.at(36, 2, 0), back.at(36, 2, 1)) << level;
    EXPECT_EQ(back.at(36, 2, 0), back.at(36, 2, 2)) << level;
  }
}

LC_INSTANTIATE_TARGETS(ColourTargets);

TEST(BgrToI420, IsWithinOneLevelOfTheFormula) {
  double worst = 0;
  for (int blue = 0; blue < 256; blue += 15) {
    for (int green = 0; green < 256; green += 15) {
      for (int red = 0; red < 256; red += 15) {
        TestPicture bgr(PixelFormat::kBgr24, 2, 2, 1);
        bgr.Fill(
            {static_cast<uint8_t>(blue), static_cast<uint8_t>(green), static_cast<uint8_t>(red)});
        const TestPicture i420(PixelFormat::kI420, 2, 2, 2);
        BgrToI420(bgr.view(), i420.view());
        const double luma = kBlue * blue + kGreen * green + kRed * red;
        const double expected[3] = {16 + luma * 219 / 255,
                                    128 + (blue - luma) / (2 * (1 - kBlue)) * 224 / 255,
                                    128 + (red - luma) / (2 * (1 - kRed)) * 224 / 255};
        for (int p = 0; p < 3; ++p) {
          worst = std::max(worst, std::abs(expected[p] - i420.view().plane[p][0]));
        }
      }
    }
  }
  EXPECT_LT(worst, 0.55);  // 0.5 is the rounding
}

TEST(I420ToBgr, IsWithinOneLevelOfTheFormulaForEveryCode) {
  double worst = 0;
  for (int luma = 0; luma < 256; luma += 5) {
    const TestPicture i420(PixelFormat::kI420, 256, 256, 1);
    const TestPicture bgr(PixelFormat::kBgr24, 256, 256, 2);
    std::fill_n(i420.view().plane[0], 256 * 256, static_cast<uint8_t>(luma));
    const auto code = [](int i) { return i * 255 / 127; };  // 0 and 255 are among them
    for (int y = 0; y < 128; ++y) {
      for (int x = 0; x < 128; ++x) {
        i420.view().plane[1][128 * y + x] = static_cast<uint8_t>(code(x));
        i420.view().plane[2][128 * y + x] = static_cast<uint8_t>(code(y));
      }
    }
    I420ToBgr(i420.view(), bgr.view());
    for (int y = 0; y < 128; ++y) {
      for (int x = 0; x < 128; ++x) {
        const double grey = (luma - 16) * 255.0 / 219;
        const double u = (code(x) - 128) * 255.0 / 224, v = (code(y) - 128) * 255.0 / 224;
        const double blue = grey + 2 * (1 - kBlue) * u, red = grey + 2 * (1 - kRed) * v;
        const double green = (grey - kBlue * blue - kRed * red) / kGreen;
        const double expected[3] = {blue, green, red};
        for (int c = 0; c < 3; ++c) {
          worst = std::max(worst, std::abs(std::clamp(expected[c], 0.0, 255.0) -
                                           bgr.at(2 * x + 1, 2 * y + 1, c)));
        }
      }
    }
  }
  EXPECT_LT(worst, 0.55);  // 0.5 is the rounding
}

TEST(Colour, PrimariesHaveTheirBt709Codes) {
  struct Case {
    uint8_t blue, green, red;
    int y, u, v;
  };
  for (const Case& c :
       {Case{0, 0, 255, 63, 102, 240}, Case{0, 255, 0, 173, 42, 26}, Case{255, 0, 0, 32, 240, 118},
        Case{255, 255, 255, 235, 128, 128}, Case{0, 0, 0, 16, 128, 128}}) {
    TestPicture bgr(PixelFormat::kBgr24, 5, 3, 1);
    bgr.Fill({c.blue, c.green, c.red});
    const TestPicture i420(PixelFormat::kI420, 5, 3, 2), back(PixelFormat::kBgr24, 5, 3, 3);
    BgrToI420(bgr.view(), i420.view());
    EXPECT_EQ(int{i420.view().plane[0][14]}, c.y);
    EXPECT_EQ(int{i420.view().plane[1][5]}, c.u);
    EXPECT_EQ(int{i420.view().plane[2][5]}, c.v);
    I420ToBgr(i420.view(), back.view());
    EXPECT_LE(MaxDifference(bgr.view(), back.view()), 2);  // 219 codes for 255 levels
  }
}

TEST(BgrToI420, AveragesABlockAndRepeatsTheEdge) {
  TestPicture bgr(PixelFormat::kBgr24, 3, 3, 1);
  bgr.Fill({0, 0, 0});
  const auto set_blue = [&](int x, int y, uint8_t level) {
    bgr.view().plane[0][y * bgr.view().stride[0] + 3 * x] = level;
  };
  set_blue(0, 0, 255);  // one of four
  set_blue(2, 2, 255);  // the corner is its whole block
  const TestPicture i420(PixelFormat::kI420, 3, 3, 2);
  BgrToI420(bgr.view(), i420.view());
  const uint8_t* u = i420.view().plane[1];
  EXPECT_EQ(int{u[0]}, 156);  // 128 + 112 / 4
  EXPECT_EQ(int{u[1]}, 128);
  EXPECT_EQ(int{u[2]}, 128);
  EXPECT_EQ(int{u[3]}, 240);
}

}  // namespace
}  // namespace lipcast::imaging
