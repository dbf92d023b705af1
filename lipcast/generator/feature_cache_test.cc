#include "lipcast/generator/feature_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>
#include <vector>

namespace lipcast::generator {
namespace {

constexpr size_t kFloats = 100;

std::vector<float> ValuesOf(int64_t frame) {
  std::vector<float> values(kFloats);
  for (size_t i = 0; i < kFloats; ++i) {
    values[i] = std::sin(static_cast<float>(frame * 1000 + static_cast<int64_t>(i)));
  }
  return values;
}

FeatureCacheOptions Full(int64_t frames) {
  return {.budget_bytes = frames * static_cast<int64_t>(kFloats * sizeof(float)),
          .precision = FeaturePrecision::kFull};
}

/// The values that are kept; empty where none are.
std::vector<float> Held(FeatureCache& cache, int64_t frame) {
  const auto features = cache.Get(frame);
  if (!features) return {};
  std::vector<float> scratch(kFloats);
  const auto values = features->Values(scratch);
  return {values.begin(), values.end()};
}

/// Draws `frame` as SplitNetwork does; true on a hit.
bool Use(FeatureCache& cache, int64_t frame) {
  if (cache.Get(frame)) return true;
  cache.Put(frame, ValuesOf(frame));
  return false;
}

TEST(FeatureCache, GivesBackWhatWasPutToTheBitInFull) {
  FeatureCache cache(Full(3));
  for (int64_t frame = 0; frame < 3; ++frame) cache.Put(frame, ValuesOf(frame));
  for (int64_t frame = 0; frame < 3; ++frame) EXPECT_EQ(Held(cache, frame), ValuesOf(frame));
  EXPECT_EQ(cache.stats().bytes_held, 1200);
  EXPECT_EQ(cache.stats().hits, 3);
}

TEST(FeatureCache, HalvesTheBytesInHalfAndGivesTheSameValuesEveryTime) {
  FeatureCache cache({.budget_bytes = 1000, .precision = FeaturePrecision::kHalf});
  const std::vector<float> values = ValuesOf(7);
  const auto first = cache.Put(7, values);
  EXPECT_EQ(cache.stats().bytes_held, 200);
  std::vector<float> scratch(kFloats);
  const auto shown = first->Values(scratch);
  EXPECT_EQ(std::vector<float>(shown.begin(), shown.end()), Held(cache, 7));
  for (size_t i = 0; i < kFloats; ++i) {
    EXPECT_LE(std::abs(shown[i] - values[i]), std::ldexp(std::abs(values[i]), -11) + 0x1p-14) << i;
  }
}

TEST(FeatureCache, KeepsTheFirstValuesInFullInHalfToo) {
  const FeatureSizes sizes{.floats = kFloats, .full = 7};
  FeatureCache cache({.budget_bytes = 1000, .precision = FeaturePrecision::kHalf, .frames = 3},
                     sizes);
  EXPECT_EQ(cache.stats().needed_bytes, 3 * (7 * 4 + 93 * 2));
  const std::vector<float> values = ValuesOf(7);
  cache.Put(7, values);
  EXPECT_EQ(cache.stats().bytes_held, 7 * 4 + 93 * 2);
  const std::vector<float> held = Held(cache, 7);
  for (size_t i = 0; i < kFloats; ++i) {
    if (i < 7) {
      EXPECT_EQ(held[i], values[i]) << i;
    } else {
      EXPECT_LE(std::abs(held[i] - values[i]), std::ldexp(std::abs(values[i]), -11) + 0x1p-14);
    }
  }
  EXPECT_NE(held, values);
  EXPECT_EQ(sizes.bytes(FeaturePrecision::kFull), 400);
}

TEST(FeatureCache, KeepsInFullWhatHalfCannotHold) {
  FeatureCache cache({.budget_bytes = 1000, .precision = FeaturePrecision::kHalf});
  int64_t frame = 0;
  for (const float value : {1e6F, -1e6F, std::nanf("")}) {
    std::vector<float> values = ValuesOf(1);
    values[99] = value;
    std::vector<float> scratch(kFloats);
    const auto features = cache.Put(++frame, values);
    const auto shown = features->Values(scratch);
    EXPECT_EQ(features->size_bytes(), 400);
    EXPECT_TRUE(std::isnan(value) ? std::isnan(shown[99]) : shown[99] == value);
    EXPECT_EQ(shown[0], values[0]);
  }
}

TEST(FeatureCache, NeverGoesAboveItsBudget) {
  FeatureCache cache(Full(4));
  for (int64_t frame = 0; frame < 300; ++frame) {
    Use(cache, frame * 7 % 31);
    ASSERT_LE(cache.stats().bytes_held, 1600);
    ASSERT_LE(cache.stats().frames, 4);
  }
  EXPECT_GT(cache.stats().evictions, 0);
}

TEST(FeatureCache, KeepsNothingWhereTheBudgetHoldsNoFrame) {
  FeatureCache cache({.budget_bytes = 399, .precision = FeaturePrecision::kFull});
  const auto features = cache.Put(1, ValuesOf(1));
  ASSERT_NE(features, nullptr);
  std::vector<float> scratch(kFloats);
  EXPECT_EQ(features->Values(scratch)[5], ValuesOf(1)[5]);
  EXPECT_EQ(cache.Get(1), nullptr);
  EXPECT_EQ(cache.stats().bytes_held, 0);
}

TEST(FeatureCache, TheLeastRecentlyUsedGoesFirst) {
  FeatureCache cache(Full(3));
  for (int64_t frame : {1, 2, 3}) Use(cache, frame);
  for (int64_t frame : {2, 1, 3}) EXPECT_TRUE(Use(cache, frame));
  Use(cache, 4);
  EXPECT_TRUE(Held(cache, 2).empty());
  EXPECT_FALSE(Held(cache, 1).empty());
  EXPECT_FALSE(Held(cache, 3).empty());
}

TEST(FeatureCache, ALoopLargerThanTheBudgetStillHits) {
  FeatureCache cache(Full(60));
  for (int loop = 0; loop < 4; ++loop) {
    for (int64_t frame = 0; frame < 100; ++frame) Use(cache, frame);
  }
  // The least recently used alone would never hit; at best 60 of 100 do, in three of four loops.
  EXPECT_GT(cache.stats().hits, 3 * 50);
}

TEST(FeatureCache, FollowsToFramesThatAreShownFromNowOn) {
  FeatureCache cache(Full(20));
  for (int loop = 0; loop < 5; ++loop) {
    for (int64_t frame = 0; frame < 20; ++frame) Use(cache, frame);
  }
  int64_t hits = 0;
  for (int loop = 0; loop < 200; ++loop) {
    for (int64_t frame = 50; frame < 60; ++frame) hits = Use(cache, frame) ? hits + 1 : hits;
  }
  EXPECT_GT(hits, 1500);
}

TEST(FeatureCache, AnEntryInUseLivesOnAfterItLeft) {
  FeatureCache cache(Full(1));
  const auto held = cache.Put(1, ValuesOf(1));
  for (int64_t frame = 2; frame < 50; ++frame) cache.Put(frame, ValuesOf(frame));
  EXPECT_EQ(cache.Get(1), nullptr);
  const auto values = held->Values({});
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), ValuesOf(1));
}

TEST(FeatureCache, TwoThatBringTheSameFrameBothGetTheFirst) {
  FeatureCache cache(Full(3));
  const auto first = cache.Put(1, ValuesOf(1));
  EXPECT_EQ(cache.Put(1, ValuesOf(1)), first);
  EXPECT_EQ(cache.stats().frames, 1);
  EXPECT_EQ(cache.stats().bytes_held, 400);
}

TEST(FeatureCache, ServesManyThreads) {
  FeatureCache cache({.budget_bytes = 10 * 200, .precision = FeaturePrecision::kHalf});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<float> scratch(kFloats);
      for (int64_t i = 0; i < 500; ++i) {
        const int64_t frame = (i * (t + 3)) % 17;
        auto features = cache.Get(frame);
        if (!features) features = cache.Put(frame, ValuesOf(frame));
        const float shown = features->Values(scratch)[50], wanted = ValuesOf(frame)[50];
        if (std::abs(shown - wanted) > 0.001F) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(cache.stats().bytes_held, 2000);
}

TEST(FeaturePrecision, IsParsedAndRefusedByName) {
  EXPECT_EQ(*ParseFeaturePrecision("half"), FeaturePrecision::kHalf);
  EXPECT_EQ(*ParseFeaturePrecision("full"), FeaturePrecision::kFull);
  EXPECT_EQ(ParseFeaturePrecision("fp8").status().message(),
            "feature precision 'fp8': want half or full");
}

}  // namespace
}  // namespace lipcast::generator
