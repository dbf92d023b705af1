#include "lipcast/pipeline/live_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <latch>
#include <map>
#include <random>
#include <thread>

#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

constexpr size_t kFrameBytes = 1280;  // 25 frames/s of 16 kHz, s16
constexpr int64_t kSecond = 16000;

/// A live stream under a clock that only the test moves.
class Show {
 public:
  explicit Show(
      const SessionOptions& options = {}, StageOptions stage_options = {},
      const LiveOptions& live = {}, const std::function<void(Engine&)>& before = [](Engine&) {})
      : stage_(std::move(stage_options)), avatar_(stage_.Load()) {
    before(stage_.engine());
    auto stream = LiveSession::Create(stage_.engine(), avatar_, options, live, now_);
    EXPECT_TRUE(stream.ok()) << stream.status().ToString();
    stream_ = *std::move(stream);
  }

  void Say(uint64_t id, const std::vector<std::byte>& bytes, bool end = true) {
    const auto taken = stream_->TryAudio(id, bytes);
    ASSERT_TRUE(taken.ok()) << taken.status().ToString();
    ASSERT_EQ(*taken, bytes.size());
    if (end) {
      ASSERT_TRUE(*stream_->TryEnd(id));
    }
  }

  /// Lets the clock run for so many frames. Where `drawn`, workers get the time they need.
  void Run(int64_t frames, bool drawn = true) {
    for (int64_t i = 0; i < frames && !over_; ++i) {
      if (drawn) WaitUntilDrawn();
      now_ = stream_->next_due();
      Poll();
    }
  }
  void RunToTheEnd() {
    for (int i = 0; i < 5000 && !over_; ++i) Run(1, false);
    EXPECT_TRUE(over_);
  }

  /// Everything that is there at this moment.
  void Poll() {
    while (true) {
      Event event;
      const auto poll = stream_->TryNext(now_, &event);
      ASSERT_TRUE(poll.ok()) << poll.status().ToString();
      over_ = *poll == pipeline::Poll::kEnd;
      if (*poll != pipeline::Poll::kEvent) return;
      See(event);
    }
  }

  std::vector<std::byte> SoundOf(uint64_t id) const {
    const auto found = sound_of_.find(id);
    return found == sound_of_.end() ? std::vector<std::byte>() : found->second;
  }

  /// log_ without warnings: a test that gives the workers no time has some.
  std::vector<std::string> told() const {
    std::vector<std::string> lines = log_;
    std::erase_if(lines, [](const std::string& line) { return line.starts_with("warning"); });
    return lines;
  }

  TestStage stage_;
  std::shared_ptr<const LoadedAvatar> avatar_;
  TimePoint now_{};
  std::unique_ptr<LiveSession> stream_;
  bool over_ = false;
  std::vector<std::string> log_;
  std::vector<Shown> frames_;
  std::vector<int64_t> undrawn_;
  bool keeps_sound_ = true;  // a day of it is 7.6 GB

 private:
  void WaitUntilDrawn() {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!stream_->session().NextIsDrawn() && std::chrono::steady_clock::now() < limit) {
      std::this_thread::yield();
    }
    EXPECT_TRUE(stream_->session().NextIsDrawn()) << frames_.size();
  }
  void See(const Event& event) {
    if (event.kind != Event::Kind::kFrame) {
      log_.push_back(LogLine(event));
      return;
    }
    const Frame& frame = event.frame;
    EXPECT_EQ(frame.index, static_cast<int64_t>(frames_.size()));
    if (!frame.drawn) {
      undrawn_.push_back(frame.index);
      frames_.push_back({frame.index, frame.utterance, false, 0, 0, frame.sound.size()});
    } else {
      frames_.push_back(Describe(frame));
    }
    if (!keeps_sound_) return;
    auto& sound = sound_of_[frame.utterance];
    sound.insert(sound.end(), frame.sound.begin(), frame.sound.end());
  }

  std::map<uint64_t, std::vector<std::byte>> sound_of_;
};

std::vector<std::byte> Padded(std::vector<std::byte> bytes) {
  bytes.resize((bytes.size() + kFrameBytes - 1) / kFrameBytes * kFrameBytes);
  return bytes;
}

TEST(LiveSession, IdleShowsTheAvatarWithSilenceAndRunsNoNetwork) {
  StageOptions stage_options;
  const auto runs = stage_options.generator.counts;
  Show show({}, stage_options);
  const int64_t before = runs->runs;
  show.Run(100);
  ASSERT_EQ(show.frames_.size(), 100u);
  for (size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(show.frames_[i].utterance, 0u);
    EXPECT_FALSE(show.frames_[i].speaking);
    EXPECT_EQ(show.frames_[i].background, static_cast<int64_t>(i % 10));
    EXPECT_EQ(show.frames_[i].sound_bytes, kFrameBytes);
  }
  EXPECT_EQ(show.SoundOf(0), Silence(100 * 640));
  EXPECT_EQ(runs->runs, before);
  EXPECT_THAT(show.log_, IsEmpty());
}

TEST(LiveSession, AFrameNeverLeavesBeforeItIsDue) {
  Show show;
  show.Run(1);
  show.now_ += milliseconds(39);
  show.Poll();
  EXPECT_EQ(show.frames_.size(), 1u);
  show.now_ += milliseconds(1);
  show.Poll();
  EXPECT_EQ(show.frames_.size(), 2u);
}

TEST(LiveSession, SpeechStartsWithinItsFramesAheadAndIsWhole) {
  Show show;
  show.Run(50);
  const auto speech = Speech(2 * kSecond);
  show.Say(7, speech);
  show.Run(100);
  EXPECT_EQ(show.SoundOf(7), Padded(speech));
  EXPECT_THAT(show.log_, ElementsAre("started 7", "finished 7 at 32000"));
  const auto first = std::find_if(show.frames_.begin(), show.frames_.end(),
                                  [](const Shown& one) { return one.utterance == 7; });
  EXPECT_LE(first->index, 50 + LiveOptions{}.ahead);
  EXPECT_TRUE((first + 10)->speaking);
  EXPECT_THAT(show.undrawn_, IsEmpty());
}

TEST(LiveSession, LaterSpeechStartsAsSoonAsItsFirstFramesCanBeDrawn) {
  Show show;  // its network takes no time to speak of
  show.Say(1, Speech(kSecond));
  show.Run(100);
  for (uint64_t id = 2; id < 5; ++id) {
    const auto said = static_cast<int64_t>(show.frames_.size());
    const auto speech = Speech(kSecond, static_cast<uint32_t>(id));
    show.Say(id, speech);
    show.Run(100);
    const auto first = std::find_if(show.frames_.begin(), show.frames_.end(),
                                    [&](const Shown& one) { return one.utterance == id; });
    EXPECT_LE(first->index, said + 2);
    EXPECT_EQ(show.SoundOf(id), Padded(speech));
  }
  EXPECT_THAT(show.undrawn_, IsEmpty());
}

TEST(LiveSession, ManyUtterancesFollowEachOtherWithoutAGap) {
  Show show;
  std::vector<std::string> log;
  for (uint64_t id = 1; id <= 20; ++id) {
    show.Say(id, Speech(3000 + static_cast<int64_t>(id) * 37, static_cast<uint32_t>(id)));
    log.push_back("started " + std::to_string(id));
    log.push_back("finished " + std::to_string(id) + " at " + std::to_string(3000 + id * 37));
  }
  show.Run(250);
  EXPECT_EQ(show.log_, log);
  for (uint64_t id = 1; id <= 20; ++id) {
    EXPECT_EQ(show.SoundOf(id),
              Padded(Speech(3000 + static_cast<int64_t>(id) * 37, static_cast<uint32_t>(id))));
  }
}

TEST(LiveSession, AudioThatComesInRealTimeInAnyPiecesNeverRunsDry) {
  for (const size_t piece : {640u, 37u, 1280u * 8}) {
    Show show;
    show.Run(10);
    const auto speech = Speech(3 * kSecond);
    size_t sent = 0;
    for (size_t frame = 1; sent < speech.size(); ++frame) {
      while (sent + piece <= std::min(frame * kFrameBytes, speech.size())) {
        show.Say(1,
                 {speech.begin() + static_cast<ptrdiff_t>(sent),
                  speech.begin() + static_cast<ptrdiff_t>(sent + piece)},
                 false);
        sent += piece;
      }
      if (sent + piece > speech.size()) {
        show.Say(1, {speech.begin() + static_cast<ptrdiff_t>(sent), speech.end()});
        sent = speech.size();
      }
      show.Run(1);
    }
    show.Run(60);
    EXPECT_EQ(show.SoundOf(1), Padded(speech)) << piece;
    // Pieces of 320 ms are more than the 80 ms of delay it allows for.
    if (piece < kFrameBytes * 2) {
      EXPECT_EQ(show.stream_->counts().underruns, 0) << piece;
    }
  }
}

TEST(LiveSession, SlowAudioIsInterruptedBySilenceAndLosesNothing) {
  Show show;
  const auto speech = Speech(3 * kSecond);
  for (size_t at = 0; at < speech.size(); at += kFrameBytes / 2) {
    show.Say(1,
             {speech.begin() + static_cast<ptrdiff_t>(at),
              speech.begin() + static_cast<ptrdiff_t>(at + kFrameBytes / 2)},
             at + kFrameBytes / 2 == speech.size());
    show.Run(1);
  }
  show.Run(120);
  EXPECT_GT(show.stream_->counts().underruns, 0);
  EXPECT_EQ(show.log_.front(), "started 1");
  EXPECT_EQ(show.log_.back(), "finished 1 at 48000");
  std::vector<std::byte> heard;  // frames of the utterance, less what fills its last frames up
  const auto sound = show.SoundOf(1);
  EXPECT_GE(sound.size(), speech.size());
  size_t at = 0;
  for (size_t i = 0; i < sound.size() && at < speech.size(); ++i) {
    if (sound[i] == speech[at]) ++at;
  }
  EXPECT_EQ(at, speech.size());
}

TEST(LiveSession, AClearEndsTheUtteranceAtTheNextFrameAndDropsItsLateAudio) {
  Show show;
  show.Run(5);
  show.Say(1, Speech(4 * kSecond), false);
  show.Run(40);
  const size_t shown = show.SoundOf(1).size();
  const auto point = show.stream_->Clear();
  ASSERT_TRUE(point.ok());
  EXPECT_EQ(point->utterance, 1u);
  EXPECT_EQ(point->played_samples, static_cast<int64_t>(shown / 2));
  show.Say(1, Speech(kSecond));
  show.Run(40, false);
  EXPECT_EQ(show.SoundOf(1).size(), shown);
  EXPECT_THAT(show.told(), ElementsAre("started 1", "cut 1 at " + std::to_string(shown / 2)));
  EXPECT_EQ(show.stream_->counts().dropped_bytes, 2 * kSecond);
  show.Say(2, Speech(kSecond, 5));
  show.Run(60);
  EXPECT_EQ(show.SoundOf(2), Padded(Speech(kSecond, 5)));
  EXPECT_EQ(show.log_.back(), "finished 2 at 16000");
}

TEST(LiveSession, AClearMayComeBeforeAnyAudioThreeTimesAndOnAFreshSession) {
  Show show;
  for (int i = 0; i < 3; ++i) {
    const auto point = show.stream_->Clear();
    ASSERT_TRUE(point.ok());
    EXPECT_EQ(point->utterance, 0u);
  }
  show.Run(3);
  show.Say(1, Speech(kSecond), false);
  show.Say(2, Speech(kSecond), false);
  EXPECT_EQ(show.stream_->Clear()->utterance, 1u);
  EXPECT_EQ(show.stream_->Clear()->utterance, 0u);
  EXPECT_EQ(show.stream_->Clear()->utterance, 0u);
  show.Run(20, false);
  EXPECT_THAT(show.log_, ElementsAre("started 1", "cut 1 at 0", "started 2", "cut 2 at 0"));
}

TEST(LiveSession, FramesThatAreNotDrawnWhenDueLeaveWithTheirSound) {
  StageOptions stage_options;
  stage_options.workers = 1;
  Show show({}, stage_options);
  show.Run(3);
  std::latch held(1), release(1);
  show.stage_.engine().executor().Post(TimePoint{}, [&](int) {
    held.count_down();
    release.wait();
  });
  held.wait();
  const size_t before = show.frames_.size();
  show.Run(50, false);
  EXPECT_EQ(show.frames_.size(), before + 50);
  EXPECT_GE(show.undrawn_.size(), 40u);
  EXPECT_EQ(show.stream_->counts().late, static_cast<int64_t>(show.undrawn_.size()));
  EXPECT_EQ(show.stream_->counts().stalls, 1);
  EXPECT_THAT(show.log_,
              ElementsAre("warning no picture was drawn for a second: the last one stays, "
                          "the sound goes on"));
  release.count_down();
  const size_t late = show.undrawn_.size();
  show.Run(5, false);  // what is drawn next may be one that is due
  show.Run(20);
  EXPECT_LE(show.undrawn_.size(), late + 5);
  ASSERT_EQ(show.log_.size(), 2u);
  EXPECT_THAT(show.log_[1], StartsWith("warning pictures again, after"));
  EXPECT_EQ(show.SoundOf(0), Silence(static_cast<int64_t>(show.frames_.size()) * 640));
}

TEST(LiveSession, TheFirstFrameIsWaitedForAndTheOthersFollowItInTime) {
  StageOptions stage_options;
  stage_options.workers = 1;
  std::latch held(1), release(1);
  Show show({}, stage_options, {}, [&](Engine& engine) {
    engine.executor().Post(TimePoint{}, [&](int) {
      held.count_down();
      release.wait();
    });
    held.wait();
  });
  show.Run(20, false);
  EXPECT_TRUE(show.frames_.empty());
  EXPECT_EQ(show.now_, TimePoint{} + milliseconds(19 * 40));
  release.count_down();
  show.Run(5);
  EXPECT_EQ(show.frames_.size(), 5U);
  EXPECT_THAT(show.undrawn_, IsEmpty());
  EXPECT_EQ(show.now_, TimePoint{} + milliseconds(24 * 40));
  EXPECT_EQ(show.SoundOf(0), Silence(5 * 640));
}

TEST(LiveSession, AStreamWhoseFirstFrameIsNeverDrawnBeginsWithoutItAfterTwoSeconds) {
  StageOptions stage_options;
  stage_options.workers = 1;
  std::latch held(1), release(1);
  Show show({}, stage_options, {}, [&](Engine& engine) {
    engine.executor().Post(TimePoint{}, [&](int) {
      held.count_down();
      release.wait();
    });
    held.wait();
  });
  show.Run(51, false);
  EXPECT_EQ(show.frames_.size(), 1U);
  EXPECT_THAT(show.undrawn_, ElementsAre(0));
  release.count_down();
}

TEST(LiveSession, CloseEndsAfterTheLastWord) {
  Show show;
  const auto speech = Speech(kSecond);
  show.Say(1, speech, false);
  show.stream_->Close();
  show.RunToTheEnd();
  EXPECT_EQ(show.SoundOf(1), Padded(speech));
  EXPECT_EQ(show.log_.back(), "finished 1 at 16000");
}

TEST(LiveSession, TimeThatTheProgramStoodStillIsSkipped) {
  Show show;
  show.Run(10);
  show.now_ += std::chrono::hours(8);
  show.Poll();
  EXPECT_LE(show.frames_.size(), 12u);
  EXPECT_NEAR(static_cast<double>(show.stream_->counts().skipped), 8 * 3600 * 25, 2);
  show.Run(10);
  EXPECT_GE(show.frames_.size(), 20u);
}

TEST(LiveSession, AudioBeyondItsLimitIsNotTaken) {
  LiveOptions live;
  live.max_waiting_s = 1;
  Show show({}, {}, live);
  const auto taken = show.stream_->TryAudio(1, Speech(3 * kSecond));
  ASSERT_TRUE(taken.ok());
  EXPECT_LT(*taken, 2u * 3 * kSecond);
  EXPECT_GE(*taken, 2u * kSecond);
}

TEST(LiveSession, UtterancesWithoutAWordWaitForTheirTurnBeyondSixtyFour) {
  Show show;
  uint64_t id = 0;
  while (*show.stream_->TryEnd(id + 1)) ASSERT_LT(++id, 1000u);
  EXPECT_GE(id, 64u);
  EXPECT_EQ(*show.stream_->TryAudio(id + 1, Speech(10)), 0u);
  // How many frames that takes is the workers' affair.
  bool taken = false;
  for (int i = 0; i < 1000 && !taken; ++i) {
    show.Run(1, false);
    taken = *show.stream_->TryEnd(id + 1);
  }
  EXPECT_TRUE(taken);
  for (int i = 0; i < 1000 && show.log_.size() < 2 * (id + 1); ++i) show.Run(1, false);
  show.Run(5, false);
  EXPECT_EQ(show.log_.size(), 2 * (id + 1));
}

TEST(LiveSession, WrongIdsAreRefused) {
  Show show;
  show.Say(5, Speech(100));
  EXPECT_EQ(show.stream_->TryAudio(0, {}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(show.stream_->TryAudio(4, {}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(show.stream_->TryAudio(5, {}).status().code(), Code::kFailedPrecondition);
}

/// Random speech, pauses, clears, slow and fast senders; checked at every frame.
void Walk(Show& show, uint32_t seed, int64_t frames) {
  std::mt19937 random(seed);
  uint64_t id = 0;
  bool open = false;
  while (static_cast<int64_t>(show.frames_.size()) < frames) {
    switch (random() % 8) {
      case 0:
      case 1:
        if (!open) ++id;
        open = true;
        [[fallthrough]];
      case 2:
        if (open)
          show.Say(id,
                   Speech(static_cast<int64_t>(random() % 20000), static_cast<uint32_t>(random())),
                   false);
        break;
      case 3:
        if (open) {
          ASSERT_TRUE(*show.stream_->TryEnd(id));
        }
        open = false;
        break;
      case 4:
        if (random() % 4 == 0) {
          ASSERT_TRUE(show.stream_->Clear().ok());
          open = false;
        }
        break;
      default:
        show.Run(1 + static_cast<int64_t>(random() % 60), false);
    }
  }
  if (open) {
    ASSERT_TRUE(*show.stream_->TryEnd(id));
  }
  while (show.stream_->speaking()) show.Run(50, false);
  std::map<std::string, int> seen;
  for (const std::string& line : show.log_) ++seen[line.substr(0, line.find(" at"))];
  for (uint64_t i = 1; i <= id; ++i) {
    EXPECT_EQ(seen["started " + std::to_string(i)], 1) << i;
    EXPECT_EQ(seen["finished " + std::to_string(i)] + seen["cut " + std::to_string(i)], 1) << i;
  }
}

TEST(LiveSession, ARandomWalkKeepsSoundAndPicturesTogether) {
  for (uint32_t seed = 1; seed <= 10; ++seed) {
    Show show;
    Walk(show, seed, 1500);
    for (const Shown& frame : show.frames_) ASSERT_EQ(frame.sound_bytes, kFrameBytes);
  }
}

TEST(LiveSession, ADayOfSpeechAndSilenceHasNoSkew) {
  SessionOptions options;
  options.format.rate_hz = 44100;
  options.fps = Rational{1, 1};
  Show show(options);
  show.keeps_sound_ = false;
  Walk(show, 77, 24 * 3600);
  size_t bytes = 0;
  for (size_t i = 0; i < show.frames_.size(); ++i) {
    bytes += show.frames_[i].sound_bytes;
    ASSERT_EQ(bytes, 2u * static_cast<size_t>(
                              FirstSample(static_cast<int64_t>(i) + 1, 44100, Rational{1, 1})));
  }
}

}  // namespace
}  // namespace lipcast::pipeline
