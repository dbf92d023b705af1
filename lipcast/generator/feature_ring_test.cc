#include "lipcast/generator/feature_ring.h"

#include <gtest/gtest.h>

namespace lipcast::generator {
namespace {

constexpr int64_t kFloats = 512;

float Feature(int64_t window, int64_t k) { return static_cast<float>(1000 * (window + 1) + k); }

void Put(FeatureRing* ring, int64_t window) {
  const std::span<float> row = ring->Put(window);
  for (int64_t k = 0; k < kFloats; ++k) row[static_cast<size_t>(k)] = Feature(window, k);
}

FeatureRing RingWith(int64_t windows, int64_t capacity) {
  FeatureRing ring(AudioContext{}, capacity);
  for (int64_t w = 0; w < windows; ++w) Put(&ring, w);
  return ring;
}

/// docs/numerics.md 2 word for word: [copy of first, out(0) .. out(n - 1), copy of last], of
/// which frame i takes rows i - 8 .. i + 7, zero outside.
std::vector<float> PlainContext(int64_t frame, int64_t windows) {
  std::vector<int64_t> padded = {0};
  for (int64_t w = 0; w < windows; ++w) padded.push_back(w);
  padded.push_back(windows - 1);
  std::vector<float> context;
  for (int64_t row = frame - 8; row < frame + 8; ++row) {
    const bool inside = row >= 0 && row < static_cast<int64_t>(padded.size());
    for (int64_t k = 0; k < kFloats; ++k) {
      context.push_back(inside ? Feature(padded[static_cast<size_t>(row)], k) : 0.0F);
    }
  }
  return context;
}

TEST(FeatureRing, GivesEveryFrameItsSixteenRowsOfThePaddedArray) {
  for (const int64_t windows : {1, 2, 7, 8, 15, 16, 17, 40}) {
    const FeatureRing ring = RingWith(windows, windows);
    for (int64_t frame = 0; frame < windows + 20; ++frame) {
      std::vector<float> context(16 * kFloats, -1.0F);
      ASSERT_TRUE(ring.FillContext(frame, windows, context).ok());
      ASSERT_EQ(context, PlainContext(frame, windows))
          << "frame " << frame << " of " << windows << " windows";
    }
  }
}

TEST(FeatureRing, PutsTheWindowOfAFrameInRowNine) {
  const FeatureRing ring = RingWith(40, 40);
  std::vector<float> context(16 * kFloats);
  ASSERT_TRUE(ring.FillContext(20, std::nullopt, context).ok());
  EXPECT_EQ(context[9 * kFloats], Feature(20, 0));
}

TEST(FeatureRing, IsFinalOnceWindowIPlusSixIsKnown) {
  const AudioContext context;
  EXPECT_EQ(context.last_window(0), 6);
  const FeatureRing ring = RingWith(7, 24);  // windows 0 .. 6: frame 0 and no other
  std::vector<float> open(16 * kFloats), closed(16 * kFloats);
  ASSERT_TRUE(ring.FillContext(0, std::nullopt, open).ok());
  EXPECT_EQ(open, PlainContext(0, 40));
  EXPECT_DEBUG_DEATH(EXPECT_EQ(ring.FillContext(1, std::nullopt, closed).code(), Code::kInternal),
                     "not true: Has\\(window\\)");
}

TEST(FeatureRing, CarriesContextOnWhenWindowsComeOneByOneIntoTheSmallestRing) {
  FeatureRing ring(AudioContext{}, 0);  // held to the rows of one context
  const AudioContext context;
  int64_t put = 0;
  for (int64_t frame = 0; frame < 200; ++frame) {
    for (; put <= context.last_window(frame); ++put) Put(&ring, put);
    std::vector<float> rows(16 * kFloats);
    ASSERT_TRUE(ring.FillContext(frame, std::nullopt, rows).ok());
    ASSERT_EQ(rows, PlainContext(frame, 1000)) << "frame " << frame;
  }
}

TEST(FeatureRing, WithoutCopiedEdgesRowsOutsideAreZero) {
  AudioContext context;
  context.feature_floats = 1;
  context.copied_edges = false;
  context.rows_before = 3;  // features i - 4 .. i + 3
  context.rows_after = 4;
  FeatureRing ring(context, 16);
  for (int64_t f = 0; f < 6; ++f) ring.Put(f)[0] = static_cast<float>(f + 1);
  std::vector<float> rows(8);
  ASSERT_TRUE(ring.FillContext(0, std::nullopt, rows).ok());
  EXPECT_EQ(rows, (std::vector<float>{0, 0, 0, 0, 1, 2, 3, 4}));
  ASSERT_TRUE(ring.FillContext(5, 6, rows).ok());
  EXPECT_EQ(rows, (std::vector<float>{2, 3, 4, 5, 6, 0, 0, 0}));
}

TEST(FeatureRing, HoldsTheNewestWindowsOnly) {
  const FeatureRing ring = RingWith(50, 20);
  EXPECT_FALSE(ring.Has(29));
  for (int64_t w = 30; w < 50; ++w) {
    EXPECT_TRUE(ring.Has(w));
    EXPECT_EQ(ring.Row(w)[3], Feature(w, 3));
  }
  EXPECT_FALSE(ring.Has(50));
}

TEST(FeatureRing, HasNoWindowBeforeTheFirst) {
  const FeatureRing ring = RingWith(5, 16);
  for (const int64_t window : {-1, -5, -16, -17}) EXPECT_FALSE(ring.Has(window)) << window;
  const FeatureRing empty(AudioContext{}, 16);
  for (const int64_t window : {-1, -16, 0}) EXPECT_FALSE(empty.Has(window)) << window;
}

TEST(FeatureRing, ForgetsEverythingWhenCleared) {
  FeatureRing ring = RingWith(10, 16);
  ring.Clear();
  for (int64_t w = 0; w < 10; ++w) EXPECT_FALSE(ring.Has(w));
}

TEST(FeatureRing, RefusesAContextOfAnotherSize) {
  const FeatureRing ring = RingWith(16, 16);
  std::vector<float> small(16 * kFloats - 1);
  EXPECT_DEBUG_DEATH(EXPECT_EQ(ring.FillContext(0, 16, small).code(), Code::kInternal),
                     "not true: out.size");
}

}  // namespace
}  // namespace lipcast::generator
