#include "lipcast/generator/feature_memory.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "lipcast/generator/feature_cache.h"

namespace lipcast::generator {
namespace {

constexpr int64_t kFloats = 25, kFrameBytes = 100;

/// A cache of an avatar with so many frames, in a memory that it shares.
std::unique_ptr<FeatureCache> CacheOf(const std::shared_ptr<FeatureMemory>& memory,
                                      int64_t frames) {
  return std::make_unique<FeatureCache>(
      FeatureCacheOptions{.precision = FeaturePrecision::kFull, .memory = memory, .frames = frames},
      FeatureSizes{.floats = kFloats});
}

void Fill(FeatureCache& cache, int64_t frames) {
  const std::vector<float> values(kFloats, 1.0F);
  for (int64_t frame = 0; frame < frames; ++frame) cache.Put(frame, values);
}

TEST(FeatureMemory, GivesAnAvatarWhatItNeedsAndNoMore) {
  const auto memory = std::make_shared<FeatureMemory>(10'000);
  const auto cache = CacheOf(memory, 30);
  EXPECT_EQ(cache->stats().needed_bytes, 3000);
  EXPECT_EQ(cache->stats().budget_bytes, 3000);
  Fill(*cache, 30);
  EXPECT_EQ(cache->stats().frames, 30);
  EXPECT_EQ(cache->stats().evictions, 0);
}

TEST(FeatureMemory, GivesAllItHasToAnAvatarThatNeedsMore) {
  const auto memory = std::make_shared<FeatureMemory>(1000);
  EXPECT_EQ(CacheOf(memory, 30)->stats().budget_bytes, 1000);
  EXPECT_EQ(CacheOf(memory, 0)->stats().budget_bytes, 1000);  // of an unknown number
}

TEST(FeatureMemory, ThoseThatNeedLittleHaveItAllAndTheOthersEqualParts) {
  const auto memory = std::make_shared<FeatureMemory>(7000);
  const auto large = CacheOf(memory, 100), small = CacheOf(memory, 10), other = CacheOf(memory, 50);
  EXPECT_EQ(small->stats().budget_bytes, 1000);
  EXPECT_EQ(large->stats().budget_bytes, 3000);
  EXPECT_EQ(other->stats().budget_bytes, 3000);
}

TEST(FeatureMemory, ANewcomerTakesFromThoseThatHaveMoreAndGivesItBack) {
  const auto memory = std::make_shared<FeatureMemory>(6000);
  const auto first = CacheOf(memory, 100);
  Fill(*first, 100);
  EXPECT_EQ(first->stats().bytes_held, 6000);
  {
    const auto second = CacheOf(memory, 100);
    EXPECT_EQ(first->stats().budget_bytes, 3000);
    EXPECT_LE(first->stats().bytes_held, 3000);
    Fill(*second, 100);
    EXPECT_EQ(second->stats().bytes_held, 3000);
  }
  EXPECT_EQ(first->stats().budget_bytes, 6000);
  Fill(*first, 100);
  EXPECT_EQ(first->stats().bytes_held, 6000);
}

TEST(FeatureMemory, IsNeverExceededWhileCachesComeAndGo) {
  const auto memory = std::make_shared<FeatureMemory>(2000);
  const auto stays = CacheOf(memory, 30);
  std::vector<std::thread> threads;
  for (int64_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (int64_t i = 0; i < 50; ++i) {
        const auto cache = CacheOf(memory, 5 + 10 * thread);
        Fill(*cache, 5 + 10 * thread);
        Fill(*stays, 30);
        EXPECT_LE(cache->stats().bytes_held, 2000);
        EXPECT_LE(stays->stats().bytes_held, 2000);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stays->stats().budget_bytes, 2000);
}

TEST(FeatureMemory, TheAutomaticBudgetIsSomethingAndKeepsItsLimit) {
  EXPECT_GT(AutomaticFeatureBytes(), 0);
  EXPECT_LE(AutomaticFeatureBytes(1000), 1000);
}

}  // namespace
}  // namespace lipcast::generator
