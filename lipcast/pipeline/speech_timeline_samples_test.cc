// SpeechTimeline for models that hear samples in place of mel windows.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "lipcast/pipeline/test_drive.h"
#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

using generator::AudioContext;

/// A feature is: where its frame begins in the window, and the window's first and last sample.
class Listener final : public generator::Generator {
 public:
  Listener(Rational fps, int together, int64_t lead_samples, int64_t tail_samples, int half) {
    context_.fps = fps;
    context_.window_of = generator::WindowOf::kSamples;
    context_.window_features = together;
    context_.lead_samples = lead_samples;
    context_.window_samples = lead_samples + FirstSample(together, 16'000, fps) + tail_samples;
    context_.feature_floats = 3;
    context_.rows_before = half - 1;
    context_.rows_after = half;
    context_.copied_edges = false;
    context_.reference_end = generator::ReferenceEnd::kHubert;
  }
  const avatar::MouthLayout& layout() const override { return layout_; }
  const AudioContext& context() const override { return context_; }
  inference::Provider provider() const override { return {}; }
  int64_t preferred_batch() const override { return 1; }
  std::optional<generator::FeatureCache::Stats> feature_stats() const override { return {}; }
  Status Encode(int64_t n, std::span<const float> windows,
                std::span<float> features) const override {
    LC_ENSURE(windows.size() == static_cast<size_t>(n * context_.window_samples));
    size_t at = 0;
    for (int64_t w = 0; w < n; ++w) {
      const auto window = windows.subspan(static_cast<size_t>(w * context_.window_samples),
                                          static_cast<size_t>(context_.window_samples));
      for (int k = 0; k < context_.window_features; ++k) {
        const int64_t begin = context_.lead_samples + FirstSample(k, 16'000, context_.fps);
        features[at++] = window[static_cast<size_t>(begin)];
        features[at++] = window.front();
        features[at++] = window.back();
      }
    }
    return {};
  }
  Status Generate(std::span<const int64_t>, std::span<const float>, std::span<const float>,
                  std::span<float>) const override {
    return {};
  }

 private:
  const avatar::MouthLayout layout_;
  AudioContext context_;
};

struct Ear {
  const char* name;
  Rational fps;
  int together;
  int64_t lead_samples, tail_samples;
  int half;
};

class SampleTimeline : public testing::TestWithParam<Ear> {
 protected:
  std::unique_ptr<SpeechTimeline> Make(Edges edges = Edges::kSilence) {
    TimelineOptions options;
    options.idle = Idle::kModel;
    options.edges = edges;
    auto timeline = SpeechTimeline::Create(options, generator_, times_);
    EXPECT_TRUE(timeline.ok()) << timeline.status().ToString();
    return *std::move(timeline);
  }
  const AudioContext& context() const { return generator_->context(); }
  int64_t hop() const { return FirstSample(1, 16'000, context().fps); }

  /// Feeds what is left of `bytes` in pieces and takes frames [first, frames).
  std::vector<std::vector<float>> Run(SpeechTimeline& timeline, std::span<const std::byte> bytes,
                                      size_t piece_bytes, int64_t first, int64_t frames) {
    std::vector<std::vector<float>> drawn;
    Drive(timeline, bytes, piece_bytes, first, frames, [&](int64_t frame) {
      drawn.emplace_back(static_cast<size_t>(context().floats()));
      EXPECT_TRUE(timeline.FillContext(frame, drawn.back()).ok());
    });
    return drawn;
  }

  /// The same, written out. Features from `count` on are zero.
  std::vector<float> Plain(std::span<const std::byte> audio, int64_t frame, int64_t count) const {
    const auto sample = [&](int64_t index) {
      if (index < 0 || index >= static_cast<int64_t>(audio.size() / 2)) return 0.0F;
      int16_t value = 0;
      std::memcpy(&value, audio.data() + 2 * index, 2);
      return static_cast<float>(value) / 32768;
    };
    std::vector<float> rows;
    const int half = context().rows_after;
    for (int64_t f = frame - half; f < frame + half; ++f) {
      const int64_t begin =
          f / GetParam().together * GetParam().together * hop() - context().lead_samples;
      const bool outside = f < 0 || f >= count;
      for (const int64_t at : {f * hop(), begin, begin + context().window_samples - 1}) {
        rows.push_back(outside ? 0 : sample(at));
      }
    }
    return rows;
  }

  std::shared_ptr<const generator::Generator> generator_ =
      std::make_shared<Listener>(GetParam().fps, GetParam().together, GetParam().lead_samples,
                                 GetParam().tail_samples, GetParam().half);
  StageTimes times_;
};

TEST_P(SampleTimeline, AnyPiecesGiveEachFrameTheSamplesAroundIt) {
  const auto audio = Speech(120 * hop() + 77);
  for (const size_t piece : {14U, 1'280U, 70'000U}) {
    const auto drawn = Run(*Make(), audio, piece, 0, 121);
    ASSERT_EQ(drawn.size(), 121);
    for (int64_t i = 0; i < 121; ++i) {
      ASSERT_EQ(drawn[static_cast<size_t>(i)], Plain(audio, i, 1 << 20)) << i << ", " << piece;
    }
  }
}

TEST_P(SampleTimeline, ARestartContinuesAsIfNothingHadHappened) {
  const auto audio = Speech(140 * hop());
  const auto whole = Run(*Make(), audio, 1280, 0, 140);
  for (int64_t at : {0, 1, 5, 14, 23, 50, 77, 110}) {
    for (int64_t ahead : {0, 1, 12, 25}) {
      auto timeline = Make();
      const auto heard = std::span(audio).first(static_cast<size_t>(2 * hop() * (at + ahead)));
      for (auto left = heard; !left.empty();) {
        const size_t take = std::min(left.size(), timeline->BytesAccepted());
        ASSERT_TRUE(timeline->Push(left.first(take)).ok());
        left = left.subspan(take);
        ASSERT_TRUE(timeline->Advance().ok());
        const int64_t fed = static_cast<int64_t>(heard.size() - left.size()) / 2 / hop();
        timeline->DropBefore(fed - 20);
      }
      ASSERT_TRUE(timeline->Restart(at * hop()).ok());
      const auto rest = std::span(audio).subspan(static_cast<size_t>(2 * hop() * at));
      const auto after = Run(*timeline, rest, 1280, at, 140);
      ASSERT_TRUE(after == std::vector(whole.begin() + at, whole.end())) << at << " " << ahead;
    }
  }
}

TEST_P(SampleTimeline, FramesAfterAYearAreThoseOfTheFirstHour) {
  const auto audio = Speech(40 * hop());
  std::vector<std::vector<std::vector<float>>> runs;
  for (int64_t hours : {32, 32 * 24 * 365}) {  // on the grid of every window here
    auto timeline = Make();
    ASSERT_TRUE(timeline->Restart(hours * 3600 * 16'000).ok());
    const int64_t first = hours * 3600 * 16'000 / hop();
    runs.push_back(Run(*timeline, audio, 1280, first, first + 40));
  }
  EXPECT_TRUE(runs[0] == runs[1]);
}

TEST_P(SampleTimeline, ReferenceEdgesEndWithTheFeaturesThatFit) {
  const auto audio = Speech(60 * 640 + 100);
  auto timeline = Make(Edges::kReference);
  constexpr int64_t kCount = (60 * 640 + 100 - 80) / 640;
  const auto drawn = Run(*timeline, audio, 1280, 0, kCount);
  EXPECT_EQ(timeline->reference_frames(), kCount);
  for (int64_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(drawn[static_cast<size_t>(i)], Plain(audio, i, kCount)) << i;
  }
  auto none = Make(Edges::kReference);
  ASSERT_TRUE(none->Push(std::span(audio).first(2 * 640)).ok());
  ASSERT_TRUE(none->Push(std::span(audio).first(2 * 79)).ok());
  ASSERT_TRUE(none->Finish(1).ok());
  auto moved = none->Advance();
  while (moved.ok() && *moved) moved = none->Advance();
  EXPECT_EQ(moved.status().message(),
            "audio of 719 samples at 16 kHz: reference edges want at least 720");
}

TEST_P(SampleTimeline, TakesNoMoreThanItNeedsUntilFramesAreDropped) {
  auto timeline = Make();
  const auto audio = Speech(900 * hop());
  size_t fed = 0;
  const auto feed = [&] {
    while (true) {
      ASSERT_TRUE(timeline->Advance().ok());
      const size_t take = timeline->BytesAccepted();
      if (take == 0) return;
      ASSERT_TRUE(timeline->Push(std::span(audio).subspan(fed, take)).ok());
      fed += take;
      ASSERT_LT(fed, audio.size() - 8000);
    }
  };
  feed();
  const size_t full = fed;
  EXPECT_TRUE(timeline->Ready(10));
  timeline->DropBefore(500);
  feed();
  EXPECT_GT(fed, full + 2 * 100 * hop());
}

INSTANTIATE_TEST_SUITE_P(Ears, SampleTimeline,
                         testing::Values(Ear{"Hubert", {25, 1}, 10, 20'480, 5'200, 8},
                                         Ear{"HubertOneByOne", {25, 1}, 1, 0, 5'200, 4},
                                         Ear{"Wenet", {20, 1}, 1, 5'120, 5'040, 8},
                                         Ear{"Longest", {25, 1}, 32, 130'000, 5'200, 8}),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace lipcast::pipeline
