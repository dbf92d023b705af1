#include "lipcast/generator/half.h"

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace lipcast::generator {
namespace {

constexpr float kLargest = 65504;
constexpr uint16_t kInfinity = 0x7C00, kSmallestNormal = 0x0400;

class HalfTargets : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override {
    hwy::SetSupportedTargetsForTest(GetParam());
    Update();
  }
  void TearDown() override {
    hwy::SetSupportedTargetsForTest(0);
    Update();
  }
  static void Update() { hwy::GetChosenTarget().Update(hwy::SupportedTargets()); }
};

/// What the bits of a half mean, written out.
float Meaning(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double magnitude = exponent == 0 ? 0.0 : std::ldexp(1024.0 + fraction, exponent - 25);
  return static_cast<float>(half >> 15 != 0 ? -magnitude : magnitude);
}

uint16_t OneHalf(float value) {
  uint16_t half = 0;
  EXPECT_TRUE(ToHalf({&value, 1}, {&half, 1})) << value;
  return half;
}

std::vector<uint16_t> EveryFiniteHalf() {
  std::vector<uint16_t> halves;
  for (uint32_t bits = 0; bits < 0x1'0000; ++bits) {
    const uint32_t magnitude = bits & 0x7FFF;
    if (magnitude == 0 || (magnitude >= kSmallestNormal && magnitude < kInfinity)) {
      halves.push_back(static_cast<uint16_t>(bits));
    }
  }
  return halves;
}

TEST_P(HalfTargets, EveryHalfMeansItsValueAndComesBack) {
  const std::vector<uint16_t> halves = EveryFiniteHalf();
  std::vector<float> floats(halves.size());
  FromHalf(halves, floats);
  for (size_t i = 0; i < halves.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(floats[i]), std::bit_cast<uint32_t>(Meaning(halves[i])))
        << halves[i];
  }
  std::vector<uint16_t> back(halves.size());
  ASSERT_TRUE(ToHalf(floats, back));
  EXPECT_EQ(back, halves);
}

TEST_P(HalfTargets, RoundsToTheNearestAndTiesToEven) {
  for (uint16_t half = kSmallestNormal; half + 1 < kInfinity; ++half) {
    const float low = Meaning(half), high = Meaning(static_cast<uint16_t>(half + 1));
    const float middle = (low + high) / 2;
    const auto even = static_cast<uint16_t>(half + (half & 1));
    ASSERT_EQ(OneHalf(middle), even) << middle;
    ASSERT_EQ(OneHalf(-middle), even | 0x8000) << middle;
    ASSERT_EQ(OneHalf(std::nextafter(middle, 0.0F)), half) << middle;
    ASSERT_EQ(OneHalf(std::nextafter(middle, high)), half + 1) << middle;
  }
}

TEST_P(HalfTargets, TheSmallestBecomeZeroWithTheirSign) {
  const float limit = std::ldexp(1.0F, -14);
  EXPECT_EQ(OneHalf(limit), kSmallestNormal);
  for (const float value : {std::nextafter(limit, 0.0F), 1e-40F, 0.0F}) {
    EXPECT_EQ(OneHalf(value), 0) << value;
    EXPECT_EQ(OneHalf(-value), 0x8000) << value;
  }
}

TEST_P(HalfTargets, TellsWhatItCannotHoldWhereverItStands) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {65520.0F, 1e9F, infinity, std::nanf(""), -65520.0F, -infinity}) {
    for (size_t at = 0; at < 37; ++at) {
      std::vector<float> floats(37, 1.0F);
      std::vector<uint16_t> halves(37);
      floats[at] = value;
      ASSERT_FALSE(ToHalf(floats, halves)) << value << " at " << at;
    }
  }
  EXPECT_EQ(OneHalf(kLargest), kInfinity - 1);
  EXPECT_EQ(OneHalf(std::nextafter(65520.0F, 0.0F)), kInfinity - 1);
}

TEST_P(HalfTargets, WritesAsManyAsItReads) {
  for (size_t count = 0; count <= 35; ++count) {
    std::vector<float> floats(count, 3.0F), back(count + 1, -1.0F);
    std::vector<uint16_t> halves(count + 1, 7);
    ASSERT_TRUE(ToHalf(floats, std::span(halves).first(count)));
    EXPECT_EQ(halves.back(), 7) << count;
    FromHalf(std::span<const uint16_t>(halves).first(count), std::span(back).first(count));
    EXPECT_EQ(back.back(), -1.0F) << count;
    back.pop_back();
    EXPECT_EQ(back, floats);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, HalfTargets,
                         testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& target) {
                           return std::string(hwy::TargetName(target.param));
                         });

}  // namespace
}  // namespace lipcast::generator
