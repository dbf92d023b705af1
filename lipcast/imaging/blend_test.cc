#include "lipcast/imaging/blend.h"

#include <gtest/gtest.h>

#include <vector>

#include "lipcast/imaging/test_pictures.h"

namespace lipcast::imaging {
namespace {

std::vector<uint8_t> Noise(size_t count, uint32_t seed) {
  std::vector<uint8_t> bytes(count);
  FillNoise(bytes.data(), count, seed);
  return bytes;
}

class BlendTargets : public EachTarget {};

TEST_P(BlendTargets, MixBytesEqualsThePlainReferenceForEveryPairAndWeight) {
  std::vector<uint8_t> all(256);
  for (size_t i = 0; i < 256; ++i) all[i] = static_cast<uint8_t>(i);
  for (int fresh = 0; fresh < 256; fresh += 3) {
    for (int weight = 0; weight < 256; ++weight) {
      std::vector<uint8_t> mixed = all, expected = all;
      const std::vector<uint8_t> f(256, static_cast<uint8_t>(fresh));
      const std::vector<uint8_t> w(256, static_cast<uint8_t>(weight));
      MixBytes(f.data(), w.data(), mixed.data(), 256);
      for (uint8_t& e : expected) e = MixByteReference(e, f[0], w[0]);
      ASSERT_EQ(mixed, expected) << fresh << " by " << weight;
    }
  }
}

TEST_P(BlendTargets, HandlesEveryTailAndNothingAfterIt) {
  for (size_t count = 0; count <= 100; ++count) {
    const auto fresh = Noise(count, 1), weight = Noise(count, 2), mask = Noise(count, 3);
    std::vector<uint8_t> picture = Noise(count + 9, 4), expected = picture;
    MixBytes(fresh.data(), weight.data(), picture.data(), count);
    std::vector<uint8_t> masked = Noise(count + 9, 5), expected_masked = masked;
    std::vector<uint8_t> unmasked = masked, expected_unmasked = masked;
    MixWeights(weight.data(), 200, mask.data(), 77, masked.data(), count);
    MixWeights(weight.data(), 200, nullptr, 77, unmasked.data(), count);
    for (size_t i = 0; i < count; ++i) {
      expected[i] = MixByteReference(expected[i], fresh[i], weight[i]);
      expected_masked[i] = MixWeightReference(weight[i], 200, mask[i], 77);
      expected_unmasked[i] = MixWeightReference(weight[i], 200, 255, 77);
    }
    ASSERT_EQ(picture, expected) << count;
    ASSERT_EQ(masked, expected_masked) << count;
    ASSERT_EQ(unmasked, expected_unmasked) << count;
  }
}

TEST_P(BlendTargets, LaysAPictureOverAColourByItsAlpha) {
  const Bgr colour{10, 120, 240};
  for (int width : {1, 15, 16, 31, 33, 641}) {
    const TestPicture bgra(PixelFormat::kBgra32, width, 3, 6);
    const TestPicture out(PixelFormat::kBgr24, width, 3, 7, 20);
    uint8_t* first = bgra.view().plane[0];
    first[3] = 0;
    BgraOverColour(bgra.view(), colour, out.view());
    EXPECT_EQ(out.at(0, 0, 0), colour.blue);
    EXPECT_EQ(out.at(0, 0, 2), colour.red);
    const uint8_t under[3] = {colour.blue, colour.green, colour.red};
    for (int y = 0; y < 3; ++y) {
      for (int x = 0; x < width; ++x) {
        for (int c = 0; c < 3; ++c) {
          ASSERT_EQ(out.at(x, y, c),
                    MixByteReference(under[c], bgra.at(x, y, c), bgra.at(x, y, 3)));
        }
      }
    }
    EXPECT_TRUE(out.GuardsIntact()) << width;
  }
}

LC_INSTANTIATE_TARGETS(BlendTargets);

TEST(MixByteReference, IsExactAtBothEnds) {
  for (int level = 0; level < 256; ++level) {
    const auto v = static_cast<uint8_t>(level);
    EXPECT_EQ(MixByteReference(v, 123, 0), v);
    EXPECT_EQ(MixByteReference(123, v, 255), v);
    EXPECT_EQ(MixByteReference(v, v, 100), v);
  }
}

}  // namespace
}  // namespace lipcast::imaging
