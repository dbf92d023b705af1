#include "lipcast/base/metrics.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace lipcast {
namespace {

using std::chrono::nanoseconds;

TEST(Stage, HasANameOfItsOwnEach) {
  std::set<std::string_view> names;
  for (int i = 0; i < kStageCount; ++i) {
    const std::string_view name = StageName(static_cast<Stage>(i));
    EXPECT_FALSE(name.empty()) << i;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  EXPECT_EQ(StageName(Stage::kDecode), "decode");
  EXPECT_EQ(StageName(Stage::kBackground), "background");
  EXPECT_EQ(StageName(Stage::kPaste), "paste");
  EXPECT_EQ(StageName(Stage::kMux), "mux");
}

TEST(StageTimes, AddsUpEachStageByItself) {
  StageTimes times;
  times.Add(Stage::kPaste, nanoseconds(5));
  times.Add(Stage::kPaste, nanoseconds(7));
  times.Add(Stage::kMux, nanoseconds(1));
  EXPECT_EQ(times.total(Stage::kPaste), nanoseconds(12));
  EXPECT_EQ(times.calls(Stage::kPaste), 2);
  EXPECT_EQ(times.calls(Stage::kMux), 1);
  EXPECT_EQ(times.calls(Stage::kDecode), 0);
  EXPECT_EQ(times.total(Stage::kDecode), nanoseconds(0));
}

TEST(StageTimes, LosesNothingAmongManyThreads) {
  StageTimes times;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) times.Add(Stage::kGenerator, nanoseconds(3));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(times.calls(Stage::kGenerator), 8000);
  EXPECT_EQ(times.total(Stage::kGenerator), nanoseconds(24'000));
}

TEST(StageTimes, TellsTheMetricsOfEachCall) {
  class Heard final : public Metrics {
   public:
    void Count(std::string_view, int64_t) override {}
    void Gauge(std::string_view, double) override {}
    void Observe(std::string_view name, double value) override { calls_.emplace_back(name, value); }
    std::vector<std::pair<std::string, double>> calls_;
  };
  Heard heard;
  StageTimes times(&heard);
  times.Add(Stage::kPaste, std::chrono::milliseconds(250));
  times.Add(Stage::kAudioEncoder, std::chrono::seconds(2));
  const std::vector<std::pair<std::string, double>> wanted = {
      {"stage_seconds{stage=\"paste\"}", 0.25}, {"stage_seconds{stage=\"audio_encoder\"}", 2.0}};
  EXPECT_EQ(heard.calls_, wanted);
  EXPECT_EQ(times.calls(Stage::kPaste), 1);
}

TEST(StageTimer, AddsItsLifeTimeOnce) {
  StageTimes times;
  const auto start = std::chrono::steady_clock::now();
  { const StageTimer timer(times, Stage::kPack); }
  const auto end = std::chrono::steady_clock::now();
  EXPECT_EQ(times.calls(Stage::kPack), 1);
  EXPECT_GE(times.total(Stage::kPack), nanoseconds(0));
  EXPECT_LE(times.total(Stage::kPack), end - start);
}

}  // namespace
}  // namespace lipcast
