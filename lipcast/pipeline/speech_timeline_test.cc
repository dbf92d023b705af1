#include "lipcast/pipeline/speech_timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "lipcast/pipeline/test_drive.h"
#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

using testing::HasSubstr;

constexpr int64_t kFrame = 640;  // samples

class SpeechTimelineTest : public testing::Test {
 protected:
  std::unique_ptr<SpeechTimeline> Make(const TimelineOptions& options = {}) {
    auto timeline = SpeechTimeline::Create(options, generator_, times_);
    EXPECT_TRUE(timeline.ok()) << timeline.status().ToString();
    return *std::move(timeline);
  }

  struct Drawn {
    float weight = 0;
    std::vector<float> context;
    friend bool operator==(const Drawn&, const Drawn&) = default;
  };

  /// Feeds `bytes` in pieces and takes frames [first, frames) as they get ready.
  std::vector<Drawn> Run(SpeechTimeline& timeline, std::span<const std::byte> bytes,
                         size_t piece_bytes, int64_t first, int64_t frames) {
    std::vector<Drawn> drawn;
    Drive(timeline, bytes, piece_bytes, first, frames, [&](int64_t index) {
      Drawn& frame = drawn.emplace_back();
      frame.weight = timeline.Weight(index);
      if (frame.weight > 0) {
        frame.context.resize(static_cast<size_t>(generator_->context().floats()));
        EXPECT_TRUE(timeline.FillContext(index, frame.context).ok());
      }
    });
    return drawn;
  }

  static std::vector<float> Weights(const std::vector<Drawn>& drawn) {
    std::vector<float> weights;
    for (const Drawn& frame : drawn) weights.push_back(frame.weight);
    return weights;
  }

  TestStage stage_;
  std::shared_ptr<const generator::Generator> generator_ = stage_.Load()->generator;
  StageTimes times_;
};

TEST_F(SpeechTimelineTest, TheMouthOpensAndClosesWithin200msOfSpeech) {
  const auto audio = Silence(25 * kFrame) + Speech(25 * kFrame) + Silence(25 * kFrame);
  const auto weights = Weights(Run(*Make(), audio, 333, 0, 75));
  ASSERT_EQ(weights.size(), 75);
  for (int i = 0; i < 75; ++i) {
    const int distance = i < 25 ? 25 - i : i < 50 ? 0 : i - 49;
    EXPECT_FLOAT_EQ(weights[static_cast<size_t>(i)],
                    distance >= 5 ? 0.0F : 1 - static_cast<float>(distance) / 5)
        << i;
  }
}

TEST_F(SpeechTimelineTest, ASteadyOffsetIsSilenceAndTheThresholdIsTheOption) {
  std::vector<std::byte> offset(2 * 10 * kFrame);
  for (size_t s = 0; s < offset.size(); s += 2) {
    const int16_t value = 8000;
    std::memcpy(offset.data() + s, &value, 2);
  }
  for (float weight : Weights(Run(*Make(), offset, 999, 0, 10))) EXPECT_EQ(weight, 0);
  TimelineOptions deaf;
  deaf.silence_dbfs = 0;
  for (float weight : Weights(Run(*Make(deaf), Speech(6400), 999, 0, 10))) EXPECT_EQ(weight, 0);
  TimelineOptions model;
  model.idle = Idle::kModel;
  for (float weight : Weights(Run(*Make(model), offset, 999, 0, 10))) EXPECT_EQ(weight, 1);
}

TEST_F(SpeechTimelineTest, AnyPiecesGiveTheSameContextsToTheBit) {
  const auto audio = Speech(41 * kFrame + 17) + Silence(30 * kFrame) + Speech(9 * kFrame, 2);
  const int64_t frames = 81;
  const auto whole = Run(*Make(), audio, SIZE_MAX, 0, frames);
  ASSERT_EQ(whole.size(), frames);
  for (size_t piece : {2, 74, 640, 1280, 20480}) {
    EXPECT_TRUE(Run(*Make(), audio, piece, 0, frames) == whole) << piece;
  }
}

TEST_F(SpeechTimelineTest, SpeechShorterThanAFrameIsSpeech) {
  for (int64_t samples : {200, 639, 640, 641}) {
    const int64_t frames = (samples + kFrame - 1) / kFrame;
    for (float weight : Weights(Run(*Make(), Speech(samples), SIZE_MAX, 0, frames))) {
      EXPECT_GE(weight, 0.8F) << samples;
    }
  }
}

TEST_F(SpeechTimelineTest, ARestartContinuesAsIfNothingHadHappened) {
  const auto audio = Speech(90 * kFrame);
  const auto whole = Run(*Make(), audio, 1280, 0, 90);
  for (int64_t at : {0, 1, 4, 5, 14, 15, 16, 23, 50, 77}) {
    for (int64_t ahead : {0, 1, 12}) {
      auto timeline = Make();
      const auto heard = std::span(audio).first(static_cast<size_t>(2 * kFrame * (at + ahead)));
      // What is fed past the restart is forgotten.
      for (auto left = heard; !left.empty();) {
        const size_t take = std::min(left.size(), timeline->BytesAccepted());
        ASSERT_TRUE(timeline->Push(left.first(take)).ok());
        left = left.subspan(take);
        ASSERT_TRUE(timeline->Advance().ok());
        const int64_t fed = static_cast<int64_t>(heard.size() - left.size()) / 2 / kFrame;
        timeline->DropBefore(fed - 20);
      }
      ASSERT_TRUE(timeline->Restart(at * kFrame).ok());
      const auto rest = std::span(audio).subspan(static_cast<size_t>(2 * kFrame * at));
      const auto after = Run(*timeline, rest, 1280, at, 90);
      ASSERT_TRUE(after == std::vector(whole.begin() + at, whole.end())) << at << " " << ahead;
    }
  }
}

TEST_F(SpeechTimelineTest, FramesAfter24HoursAreThoseOfTheFirstHour) {
  const auto audio = Speech(30 * kFrame) + Silence(20 * kFrame) + Speech(10 * kFrame, 3);
  std::vector<std::vector<Drawn>> runs;
  for (int64_t hours : {1, 24, 24 * 365}) {
    auto timeline = Make();
    ASSERT_TRUE(timeline->Restart(hours * 3600 * 16000).ok());
    const int64_t first = hours * 3600 * 25;
    runs.push_back(Run(*timeline, audio, 1280, first, first + 60));
    ASSERT_EQ(runs.back().size(), 60);
  }
  EXPECT_TRUE(runs[0] == runs[1]);
  EXPECT_TRUE(runs[0] == runs[2]);
}

TEST_F(SpeechTimelineTest, TakesNoMoreThanItsStoreHoldsUntilFramesAreDropped) {
  auto timeline = Make();
  const auto audio = Speech(200 * kFrame);
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
  EXPECT_LT(full, 2 * 3 * 16000);
  timeline->DropBefore(40);
  feed();
  EXPECT_GT(fed, full + 2 * 20 * kFrame);
}

TEST_F(SpeechTimelineTest, ReferenceEdgesHaveTheReferencesCountAndRefuseLessThanAWindow) {
  TimelineOptions options;
  options.edges = Edges::kReference;
  auto timeline = Make(options);
  for (int i = 0; i < 25; ++i) {
    ASSERT_TRUE(timeline->Push(Speech(kFrame)).ok());
    ASSERT_TRUE(timeline->Advance().ok());
  }
  ASSERT_TRUE(timeline->Finish(25).ok());
  EXPECT_EQ(timeline->reference_frames(), std::nullopt);
  ASSERT_TRUE(timeline->Advance().ok());
  EXPECT_EQ(timeline->reference_frames(), 22);  // T = 81
  std::vector<float> context(static_cast<size_t>(generator_->context().floats()));
  EXPECT_TRUE(timeline->FillContext(21, context).ok());

  timeline = Make(options);
  ASSERT_TRUE(timeline->Push(Speech(kFrame)).ok());
  ASSERT_TRUE(timeline->Finish(1).ok());
  const auto refused = timeline->Advance();
  EXPECT_EQ(refused.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), HasSubstr("640 samples at 16 kHz"));
  EXPECT_THAT(refused.status().message(), HasSubstr("3000"));
}

TEST_F(SpeechTimelineTest, ATapSeesEveryItemOnceInOrder) {
  FeedTap tap;
  int64_t mels = 0, windows = 0, features = 0;
  tap.mel = [&](std::span<const float> v) { mels += v.size() == 80; };
  tap.window = [&](std::span<const float> v) { windows += v.size() == 80 * 16; };
  tap.features = [&](std::span<const float> v) { features += v.size() == 512; };
  TimelineOptions options;
  options.tap = &tap;
  options.idle = Idle::kModel;
  const int64_t frames = 60;
  Run(*Make(options), Speech(frames * kFrame), 1280, 0, frames);
  EXPECT_EQ(windows, frames + 6);  // the last frame looks six windows ahead
  EXPECT_EQ(features, windows);
  EXPECT_GE(mels, 3 * windows);
}

TEST_F(SpeechTimelineTest, SilenceRunsNoEncoder) {
  Run(*Make(), Silence(100 * kFrame), 1280, 0, 100);
  EXPECT_EQ(times_.calls(Stage::kAudioEncoder), 0);
}

}  // namespace
}  // namespace lipcast::pipeline
