// Ten thousand random calls, compared event by event with a model of what a session must do.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

constexpr int64_t kFrameSamples = 640;  // 25 frames/s of 16 kHz

/// What a session must do, written the plain way: one list of samples and one of utterances.
class PlainModel {
 public:
  explicit PlainModel(Session& session) : session_(session) {}

  bool HasRoomFor(int64_t samples) const {
    return received() + samples - out_ * kFrameSamples <= 3 * 16000 && utterances_.size() < 50;
  }
  /// Whether Next must have something to give: the look-ahead is in.
  bool NextIsCertain() const {
    return !notices_.empty() || received() - out_ * kFrameSamples >= 16 * kFrameSamples;
  }
  bool CanSpeak() const { return last_ > cleared_ && !ended_; }
  uint64_t last() const { return last_; }
  uint64_t cleared() const { return cleared_; }

  void Audio(uint64_t id, const std::vector<std::byte>& bytes) {
    ASSERT_TRUE(session_.Audio(id, bytes).ok());
    if (id <= cleared_) {
      dropped_ += static_cast<int64_t>(bytes.size());
      return;
    }
    if (id > last_) {
      EndNewest();
      const int64_t first = (received() + kFrameSamples - 1) / kFrameSamples;
      sound_.resize(static_cast<size_t>(2 * first * kFrameSamples));
      utterances_.push_back({id, first, std::nullopt, false});
      last_ = id;
      ended_ = false;
    }
    sound_ = std::move(sound_) + bytes;
  }
  void End() {
    ASSERT_TRUE(session_.End(last_).ok());
    if (last_ > cleared_) EndNewest();
  }
  void Clear() {
    const ClearPoint point = *session_.Clear();
    uint64_t cut = 0;
    for (const Spoken& u : utterances_) {
      if (!u.started) notices_.push_back("started " + std::to_string(u.id));
      const int64_t position = std::min(out_ * kFrameSamples, u.end.value_or(INT64_MAX));
      const int64_t played = std::max<int64_t>(0, position - u.first * kFrameSamples);
      const bool whole = u.end && out_ * kFrameSamples >= *u.end && out_ >= u.first;
      notices_.push_back((whole ? "finished " : "cut ") + std::to_string(u.id) + " at " +
                         std::to_string(played));
      if (whole || cut != 0) continue;
      cut = u.id;
      EXPECT_EQ(point.played_samples, played);
    }
    EXPECT_EQ(point.utterance, cut);
    utterances_.clear();
    cleared_ = last_;
    sound_.resize(static_cast<size_t>(2 * out_ * kFrameSamples));
  }
  /// False at the end of the stream.
  bool Next() {
    const auto event = *session_.Next();
    if (!event) {
      EXPECT_TRUE(notices_.empty() && utterances_.empty());
      return false;
    }
    if (!notices_.empty()) {
      EXPECT_EQ(LogLine(*event), notices_.front());
      notices_.pop_front();
      return true;
    }
    if (utterances_.empty()) {
      ADD_FAILURE() << "an event of no utterance: " << LogLine(*event);
      return false;
    }
    Spoken& front = utterances_.front();
    if (event->kind == Event::Kind::kFrame) {
      const Frame& frame = event->frame;
      EXPECT_TRUE(front.started && frame.utterance == front.id) << frame.utterance;
      EXPECT_EQ(frame.index, out_);
      EXPECT_EQ(frame.background, out_ % 10);
      heard_.insert(heard_.end(), frame.sound.begin(), frame.sound.end());
      ++out_;
    } else if (event->kind == Event::Kind::kStarted) {
      EXPECT_EQ(event->utterance, front.id);
      front.started = true;
    } else {
      EXPECT_EQ(LogLine(*event),
                "finished " + std::to_string(front.id) + " at " +
                    std::to_string(front.end.value_or(-1) - front.first * kFrameSamples));
      utterances_.pop_front();
    }
    return true;
  }
  void Finish() {
    ASSERT_TRUE(session_.Finish().ok());
    EndNewest();
    while (Next()) {
    }
    EXPECT_TRUE(heard_ == sound_);
    EXPECT_EQ(out_, (received() + kFrameSamples - 1) / kFrameSamples);
    EXPECT_EQ(session_.counts().dropped_bytes, dropped_);
  }

 private:
  struct Spoken {
    uint64_t id;
    int64_t first;
    std::optional<int64_t> end;
    bool started;
  };
  int64_t received() const { return static_cast<int64_t>(sound_.size() / 2); }
  void EndNewest() {
    ended_ = true;
    if (!utterances_.empty() && !utterances_.back().end) utterances_.back().end = received();
  }
  Session& session_;
  std::vector<std::byte> sound_;  // of the timeline, as far as it is known
  std::vector<std::byte> heard_;
  std::deque<Spoken> utterances_;
  std::deque<std::string> notices_;
  uint64_t last_ = 0, cleared_ = 0;
  bool ended_ = false;
  int64_t out_ = 0, dropped_ = 0;
};

TEST(SessionWalk, Of10000StepsDoesWhatThePlainModelSays) {
  TestStage stage;
  const auto avatar = stage.Load();
  const auto audio = Speech(30000) + Silence(16000) + Speech(14000, 2);
  for (int batch : {1, 3}) {
    const Watchdog watchdog;
    SCOPED_TRACE("batch " + std::to_string(batch));
    SessionOptions options;
    options.batch = batch;
    auto session = stage.Open(avatar, options);
    PlainModel model(*session);
    std::mt19937 random(static_cast<std::mt19937::result_type>(batch));
    for (int step = 0; step < 10000 && !testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      const auto dice = random() % 100;
      const auto samples = static_cast<int64_t>(random() % 6000);
      const auto from = audio.begin() + 2 * static_cast<ptrdiff_t>(random() % 50000);
      const std::vector<std::byte> bytes(from, from + 2 * samples);
      if (dice < 5 && model.cleared() > 0) {
        model.Audio(1 + random() % model.cleared(), bytes);
      } else if (dice < 30 && model.CanSpeak() && model.HasRoomFor(samples)) {
        model.Audio(model.last(), bytes);
      } else if (dice < 38 && model.HasRoomFor(samples + kFrameSamples)) {
        model.Audio(model.last() + 1 + random() % 3, bytes);
      } else if (dice < 43 && model.last() > 0) {
        model.End();
      } else if (dice < 45) {
        model.Clear();
      } else if (model.NextIsCertain()) {
        model.Next();
      }
    }
    model.Finish();
  }
}

}  // namespace
}  // namespace lipcast::pipeline
