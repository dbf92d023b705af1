#include "lipcast/imaging/pack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <vector>

#include "lipcast/imaging/test_pictures.h"

namespace lipcast::imaging {
namespace {

using avatar::MouthLayout;

const MouthLayout kFamily160{.inner_px = 160, .border_px = 4, .mask = {5, 5, 155, 150}};
const MouthLayout kFamily328{.inner_px = 320, .border_px = 4, .mask = {5, 5, 315, 310}};
const MouthLayout kWav2Lip{
    .inner_px = 96, .border_px = 0, .mask = {0, 48, 96, 96}, .masked_first = true};

TestPicture Resized(const MouthLayout& layout, uint32_t seed, int padding = 0) {
  return {PixelFormat::kBgr24, layout.resized_px(), layout.resized_px(), seed, padding};
}
size_t Values(const MouthLayout& layout) {
  return static_cast<size_t>(layout.inner_px) * layout.inner_px;
}

std::vector<MouthLayout> Layouts() {
  std::vector<MouthLayout> layouts = {kFamily160, kFamily328, kWav2Lip};
  for (int inner = 1; inner <= 67; inner += 3) {  // every kind of tail
    layouts.push_back({.inner_px = inner,
                       .border_px = inner % 4,
                       .mask = {inner / 5, inner / 4, inner - inner / 6, inner},
                       .masked_first = inner % 2 == 0});
  }
  return layouts;
}

class PackTargets : public EachTarget {};

TEST_P(PackTargets, PackEqualsThePlainReference) {
  for (const MouthLayout& layout : Layouts()) {
    const TestPicture resized = Resized(layout, 3);
    std::vector<float> expected(6 * Values(layout), -1.0f), packed(6 * Values(layout), -2.0f);
    PackMouthReference(layout, resized.view(), expected);
    PackMouth(layout, resized.view(), packed);
    ASSERT_EQ(packed, expected) << layout.inner_px;
  }
}

TEST_P(PackTargets, UnpackEqualsThePlainReferenceAndKeepsTheBorder) {
  for (const MouthLayout& layout : Layouts()) {
    std::vector<float> planes(3 * Values(layout));
    std::vector<uint8_t> noise(2 * planes.size());
    FillNoise(noise.data(), noise.size(), 4);
    for (size_t i = 0; i < planes.size(); ++i) {  // -0.3 .. 1.5
      planes[i] = static_cast<float>(noise[2 * i] * 256 + noise[2 * i + 1]) / 36408.0f - 0.3f;
    }
    const TestPicture expected = Resized(layout, 5), unpacked = Resized(layout, 5, 33);
    CopyPicture(expected.view(), unpacked.view());
    EXPECT_EQ(UnpackMouthReference(layout, planes, expected.view()), 0);
    EXPECT_EQ(UnpackMouth(layout, planes, unpacked.view()), 0);
    ASSERT_EQ(MaxDifference(expected.view(), unpacked.view()), 0) << layout.inner_px;
    ASSERT_TRUE(unpacked.GuardsIntact()) << layout.inner_px;
  }
}

TEST_P(PackTargets, UnpackTruncatesAndClamps) {
  struct Case {
    float value;
    int level;
  };
  constexpr float kHuge = std::numeric_limits<float>::max();
  for (const Case& c :
       {Case{-1.0f, 0}, Case{2.0f, 255}, Case{0.0f, 0}, Case{-0.0f, 0}, Case{1.0f, 255},
        Case{0.999f, 254}, Case{127.9f / 255.0f, 127}, Case{1e30f, 255}, Case{-1e30f, 0},
        Case{kHuge, 255}, Case{-kHuge, 0}, Case{1e7f, 255}, Case{-1e7f, 0}, Case{1e-40f, 0}}) {
    const std::vector<float> planes(3 * Values(kWav2Lip), c.value);
    const TestPicture resized = Resized(kWav2Lip, 6);
    EXPECT_EQ(UnpackMouth(kWav2Lip, planes, resized.view()), 0) << c.value;
    for (int channel = 0; channel < 3; ++channel) {
      EXPECT_EQ(int{resized.at(0, 0, channel)}, c.level) << c.value;
      EXPECT_EQ(int{resized.at(95, 95, channel)}, c.level) << c.value;
    }
  }
}

TEST_P(PackTargets, UnpackCountsEveryValueThatIsNotFinite) {
  for (const MouthLayout& layout : {kFamily160, MouthLayout{.inner_px = 21, .border_px = 2}}) {
    for (float bad :
         {std::nanf(""), -std::nanf(""), std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::signaling_NaN()}) {
      std::vector<float> planes(3 * Values(layout), 0.5f);
      const TestPicture resized = Resized(layout, 7);
      planes.back() = bad;
      EXPECT_EQ(UnpackMouth(layout, planes, resized.view()), 1) << bad;
      planes[0] = planes[planes.size() / 2] = bad;
      EXPECT_EQ(UnpackMouth(layout, planes, resized.view()), 3) << bad;
      const int expected = bad == std::numeric_limits<float>::infinity() ? 255 : 0;
      EXPECT_EQ(int{resized.at(layout.border_px, layout.border_px, 0)}, expected) << bad;
    }
  }
}

TEST_P(PackTargets, UnpackOfAPackedPictureLosesAtMostOneLevel) {
  const TestPicture before = Resized(kFamily160, 8), after = Resized(kFamily160, 8);
  std::vector<float> packed(6 * Values(kFamily160));
  PackMouth(kFamily160, before.view(), packed);
  EXPECT_EQ(UnpackMouth(kFamily160, std::span(packed).first(packed.size() / 2), after.view()), 0);
  EXPECT_LE(MaxDifference(before.view(), after.view()), 1);
}

LC_INSTANTIATE_TARGETS(PackTargets);

// From testdata/make_golden.py: NumPy's float32 division and OpenCV's filled rectangle, exactly.
TEST(PackMouth, EqualsNumPyAndTheMaskOfOpenCv) {
  std::ifstream file(LIPCAST_SOURCE_DIR "/lipcast/imaging/testdata/pack_golden.bin",
                     std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  ASSERT_EQ(bytes.size(), 256 * 4 + 4 + 160 * 160 / 8 + 4 + 320 * 320 / 8u);
  float value_of[256];
  std::memcpy(value_of, bytes.data(), sizeof(value_of));
  size_t at = sizeof(value_of);
  for (const MouthLayout& layout : {kFamily160, kFamily328}) {
    int32_t inner = 0;
    std::memcpy(&inner, bytes.data() + at, sizeof(inner));
    at += sizeof(inner);
    ASSERT_EQ(inner, layout.inner_px);
    const TestPicture resized = Resized(layout, 9);
    std::vector<float> packed(6 * Values(layout));
    PackMouth(layout, resized.view(), packed);
    size_t wrong = 0;
    for (size_t i = 0; i < packed.size(); ++i) {
      const size_t channel = i / Values(layout), pixel = i % Values(layout);
      const int x = static_cast<int>(pixel) % inner + 4, y = static_cast<int>(pixel) / inner + 4;
      const bool hidden = channel >= 3 && (bytes[at + pixel / 8] >> (pixel % 8) & 1) != 0;
      const uint8_t level = resized.at(x, y, static_cast<int>(channel) % 3);
      wrong += packed[i] != (hidden ? 0.0f : value_of[level]);
    }
    EXPECT_EQ(wrong, 0u) << inner;
    at += Values(layout) / 8;
  }
}

TEST(PackMouth, PutsBlueFirstAndTheMaskedCopyWhereTheLayoutSays) {
  TestPicture resized = Resized(kWav2Lip, 10);
  resized.Fill({51, 102, 204});
  std::vector<float> packed(6 * Values(kWav2Lip));
  PackMouth(kWav2Lip, resized.view(), packed);
  const auto at = [&](size_t channel, int x, int y) {
    return packed[channel * Values(kWav2Lip) + static_cast<size_t>(y) * 96 + x];
  };
  for (size_t half : {0u, 3u}) {
    EXPECT_EQ(at(half, 3, 47), 0.2f);
    EXPECT_EQ(at(half + 1, 3, 47), 0.4f);
    EXPECT_EQ(at(half + 2, 3, 47), 0.8f);
  }
  EXPECT_EQ(at(0, 3, 48), 0.0f);  // masked first
  EXPECT_EQ(at(3, 3, 48), 0.2f);
  MouthLayout picture_first = kWav2Lip;
  picture_first.masked_first = false;
  PackMouth(picture_first, resized.view(), packed);
  EXPECT_EQ(at(0, 3, 48), 0.2f);
  EXPECT_EQ(at(3, 3, 48), 0.0f);
}

TEST(PackMouth, AMaskOfNothingHidesNothing) {
  MouthLayout layout = kFamily160;
  layout.mask = {20, 20, 20, 20};
  const TestPicture resized = Resized(layout, 11);
  std::vector<float> packed(6 * Values(layout));
  PackMouth(layout, resized.view(), packed);
  const size_t half = packed.size() / 2;
  EXPECT_TRUE(std::equal(packed.begin(), packed.begin() + half, packed.begin() + half));
}

}  // namespace
}  // namespace lipcast::imaging
