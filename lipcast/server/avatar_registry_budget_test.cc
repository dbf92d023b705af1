// Who goes, who stays, and that all of it stays true under threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <latch>
#include <random>
#include <thread>

#include "lipcast/server/test_shelf.h"

namespace lipcast::server {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using Lease = AvatarRegistry::Lease;

TEST_F(AvatarRegistryTest, TheLeastRecentlyUsedGoesFirst) {
  for (const char* const name : {"a", "b", "c"}) shelf_.Add(name);
  options_.memory_bytes = 2 * Weight(1000);
  Use("a");
  Use("b");
  Use("a");
  Use("a");
  Use("b");
  Use("c");
  EXPECT_THAT(LoadedNames(), ElementsAre("b", "c"));
  EXPECT_THAT(log_.lines(), Contains(HasSubstr("avatar_evicted avatar=a for=c")));
}

TEST_F(AvatarRegistryTest, TheLeastFrequentlyUsedGoesFirst) {
  for (const char* const name : {"a", "b", "c", "d"}) shelf_.Add(name);
  options_.memory_bytes = 2 * Weight(1000);
  options_.eviction = Eviction::kLeastFrequentlyUsed;
  Use("a");
  Use("a");
  Use("b");
  Use("c");
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "c"));
  Use("d");  // c and d had one session each: c's is the older
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "d"));
}

TEST_F(AvatarRegistryTest, TheNumberOfAvatarsIsABudgetToo) {
  for (const char* const name : {"a", "b", "c"}) shelf_.Add(name);
  options_.max_loaded = 2;
  Use("a");
  Use("b");
  Use("c");
  EXPECT_THAT(LoadedNames(), ElementsAre("b", "c"));
  Lease b = Take("b"), c = Take("c");
  EXPECT_EQ(registry().Acquire("a").status().code(), Code::kResourceExhausted);
}

TEST_F(AvatarRegistryTest, WhatIsInUseIsNeverEvicted) {
  for (const char* const name : {"a", "b", "c"}) shelf_.Add(name);
  options_.memory_bytes = 2 * Weight(1000);
  Lease a = Take("a");
  clock_.Advance(seconds(1));
  Use("b");
  Lease c = Take("c");  // a is older, but spoken by
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "c"));
  const auto refused = registry().Acquire("b");
  EXPECT_EQ(refused.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(refused.status().message(), HasSubstr("avatar 'b': needs "));
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "c"));
  EXPECT_EQ(Stats("b").sessions, 0);
  c = Lease();
  Take("b");
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "b"));
}

TEST_F(AvatarRegistryTest, ANewcomerThatCannotFitThrowsNobodyOut) {
  shelf_.Add("a");
  shelf_.Add("b");
  shelf_.Add("huge", 1'000'000);
  options_.memory_bytes = 2 * Weight(1000);
  Use("a");
  Use("b");
  EXPECT_EQ(registry().Acquire("huge").status().code(), Code::kResourceExhausted);
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "b"));
}

TEST_F(AvatarRegistryTest, LoadsThatEndTogetherKeepTheBudgetTogether) {
  options_.max_loaded = 2;
  std::vector<std::string> names;
  for (int i = 0; i < 6; ++i) shelf_.Add(names.emplace_back("avatar" + std::to_string(i)));
  registry();
  std::latch inside(6);
  shelf_.on_load = [&](const fs::path&) {
    inside.arrive_and_wait();
    return Status();
  };
  std::vector<std::thread> threads;
  for (const std::string& name : names) {
    threads.emplace_back([&] { EXPECT_TRUE(registry_->Load(name).ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(registry().loaded(), 2);
}

TEST_F(AvatarRegistryTest, AReplacedVersionCountsUntilItsLastSessionEnds) {
  shelf_.Add("a");
  shelf_.Add("b");
  options_.memory_bytes = 2 * Weight(1000);
  Lease old = Take("a");
  ASSERT_EQ(registry().Replace("a"), Status());
  Lease fresh = Take("a");
  EXPECT_EQ(registry().Acquire("b").status().code(), Code::kResourceExhausted);
  EXPECT_EQ(registry().Replace("a").code(), Code::kResourceExhausted);
  old = Lease();
  Take("b");
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "b"));
}

TEST_F(AvatarRegistryTest, WhatDecodingGrewOverTheBudgetGoesUnlessInUse) {
  shelf_.Add("a");
  shelf_.Add("b");
  options_.memory_bytes = 2 * Weight(1000) + 500;
  Lease a = Take("a");
  Use("b");
  ASSERT_TRUE(a.avatar()->avatar->Frame(3).ok());
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "b"));
  registry().EvictIdle();
  EXPECT_THAT(LoadedNames(), ElementsAre("a"));
  EXPECT_TRUE(a.avatar()->avatar->Frame(4).ok());
}

TEST_F(AvatarRegistryTest, AnIdleAvatarIsUnloadedAfterItsTimeAndOneInUseIsNot) {
  shelf_.Add("a");
  shelf_.Add("b");
  options_.idle_timeout = seconds(60);
  Lease a = Take("a");
  Take("b");
  clock_.Advance(seconds(59));
  registry().EvictIdle();
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "b"));
  clock_.Advance(seconds(1));
  registry().EvictIdle();
  EXPECT_THAT(LoadedNames(), ElementsAre("a"));
  clock_.Advance(seconds(3600));
  a = Lease();  // the time starts here
  clock_.Advance(seconds(59));
  registry().EvictIdle();
  EXPECT_THAT(LoadedNames(), ElementsAre("a"));
  clock_.Advance(seconds(1));
  registry().EvictIdle();
  EXPECT_EQ(registry().loaded(), 0);
}

TEST_F(AvatarRegistryTest, ALoadByHandCountsAsUseButNotAsASession) {
  shelf_.Add("a");
  options_.idle_timeout = seconds(60);
  clock_.Advance(seconds(1000));
  EXPECT_FALSE(*registry().Load("a"));
  EXPECT_TRUE(*registry().Load("a"));
  registry().EvictIdle();
  EXPECT_EQ(registry().loaded(), 1);
  EXPECT_EQ(Stats("a").sessions_opened, 0);
  EXPECT_EQ(Stats("a").last_used_unix_s, 0);
  Take("a");
  EXPECT_EQ(Stats("a").sessions_opened, 1);
  EXPECT_GT(Stats("a").last_used_unix_s, 1'700'000'000);
}

TEST_F(AvatarRegistryTest, FramesAreDecodedAheadAsFarAsTheyAreKept) {
  shelf_.Add("a");
  options_.preload_frames = true;
  Lease a = Take("a");
  EXPECT_EQ(a.avatar()->avatar->frame_stats().frames_held, 10);
  EXPECT_EQ(shelf_.codecs.decodes, 10);
  shelf_.Add("broken");
  shelf_.codecs.broken_frame = 7;
  EXPECT_EQ(registry().Acquire("broken").status().code(), Code::kDataLoss);
}

TEST_F(AvatarRegistryTest, EightThreadsOfRandomStepsLeaveEverythingTrue) {
  const std::vector<std::string> names{"a", "b", "c", "d"};
  for (const std::string& name : names) shelf_.Add(name);
  options_.memory_bytes = 3 * Weight(1000);
  options_.idle_timeout = seconds(5);
  std::atomic<int> failing = 0;
  shelf_.on_load = [&](const fs::path&) {
    return ++failing % 7 == 0 ? Status(Code::kDataLoss, "every seventh") : Status();
  };
  AvatarRegistry& registry = this->registry();
  std::array<std::atomic<int64_t>, 4> opened{}, frames{};
  const auto walk = [&](uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<std::pair<size_t, Lease>> held;
    for (int step = 0; step < 150; ++step) {
      const size_t which = random() % 4;
      const std::string& name = names[which];
      switch (random() % 10) {
        case 0:
          (void)registry.Unload(name).ok();
          break;
        case 1:
          (void)registry.Replace(name).ok();
          break;
        case 2:
          clock_.Advance(seconds(1));
          registry.EvictIdle();
          break;
        case 3:
          for (const AvatarEntry& entry : registry.List()) {
            EXPECT_GE(entry.stats.sessions, 0);
          }
          break;
        case 4:
        case 5:
        case 6: {
          auto lease = registry.Acquire(name);
          if (!lease.ok()) {
            const Code code = lease.status().code();
            EXPECT_TRUE(code == Code::kResourceExhausted || code == Code::kDataLoss)
                << lease.status().ToString();
            break;
          }
          ++opened[which];
          ASSERT_NE(lease->avatar(), nullptr);
          EXPECT_EQ(lease->avatar()->avatar->path().filename(), name);
          held.emplace_back(which, *std::move(lease));
          break;
        }
        default:
          if (held.empty()) break;
          std::swap(held[random() % held.size()], held.back());
          const int64_t index = random() % 10;
          auto frame = held.back().second.avatar()->avatar->Frame(index);
          ASSERT_TRUE(frame.ok());
          EXPECT_EQ(avatar::FrameOf(**frame), index);
          held.back().second.Report({.frames = index});
          frames[held.back().first] += index;
          held.pop_back();
      }
    }
    for (const auto& [which, lease] : held) EXPECT_NE(lease.avatar(), nullptr);
  };
  std::vector<std::thread> threads;
  for (uint32_t seed = 1; seed <= 8; ++seed) threads.emplace_back(walk, seed);
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < names.size(); ++i) {
    const AvatarStats stats = Stats(names[i]);
    EXPECT_EQ(stats.sessions, 0) << names[i];
    EXPECT_EQ(stats.sessions_opened, opened[i]) << names[i];
    EXPECT_EQ(stats.frames, frames[i]) << names[i];
    EXPECT_GT(opened[i], 0) << names[i];
  }
  registry.EvictIdle();
  int64_t bytes = 0;
  for (const AvatarEntry& entry : registry.List()) {
    if (entry.avatar) bytes += entry.stats.model_bytes + entry.stats.frame_bytes;
  }
  EXPECT_LE(bytes, options_.memory_bytes);
  clock_.Advance(seconds(5));
  registry.EvictIdle();
  EXPECT_EQ(registry.loaded(), 0);
}

}  // namespace
}  // namespace lipcast::server
