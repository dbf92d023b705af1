// A clear at any moment: what was cut is gone, and the stream goes on as if it had ended there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <map>
#include <random>
#include <thread>

#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

using testing::ElementsAre;

constexpr int64_t kFrameSamples = 640;  // 25 frames/s of 16 kHz
constexpr size_t kAvatarFrames = 10;

void ReadFrames(Session& session, size_t frames, Played* played) {
  while (played->frames.size() < frames) ASSERT_TRUE(ReadOne(session, played));
}

Played ReadRest(Session& session, Played played) {
  while (ReadOne(session, &played)) {
  }
  return played;
}

void ExpectOneBackgroundEachFrame(const Played& played) {
  for (size_t i = 0; i < played.frames.size(); ++i) {
    EXPECT_EQ(played.frames[i].index, static_cast<int64_t>(i));
    EXPECT_EQ(played.frames[i].background, static_cast<int64_t>(i % kAvatarFrames)) << i;
  }
}

/// Checks what a session of 25 frames/s gives, event by event.
class Witness {
 public:
  void See(const Event& event) {
    Life& life = lives_[event.utterance];
    switch (event.kind) {
      case Event::Kind::kStarted:
        EXPECT_EQ(life.started++, 0) << "utterance " << event.utterance;
        EXPECT_GT(event.utterance, newest_started_);
        newest_started_ = event.utterance;
        break;
      case Event::Kind::kFinished:
        EXPECT_EQ(life.started, 1) << "utterance " << event.utterance;
        EXPECT_EQ(life.finished++, 0) << "utterance " << event.utterance;
        life.interrupted = event.interrupted;
        life.played = event.played_samples;
        EXPECT_EQ(FramesFor(life.played, 16000, {25, 1}), life.frames) << event.utterance;
        break;
      case Event::Kind::kFrame:
        SeeFrame(event.frame);
        break;
      case Event::Kind::kWarning:
        ADD_FAILURE() << event.message;
    }
  }
  struct Life {
    int started = 0, finished = 0;
    bool interrupted = false;
    int64_t frames = 0, played = 0;
  };
  const Life& life(uint64_t id) { return lives_[id]; }
  int64_t frames() const { return frames_; }
  const std::vector<std::byte>& sound() const { return sound_; }
  void ExpectAllOver() {
    for (const auto& [id, life] : lives_) {
      EXPECT_TRUE(id == 0 || (life.started == 1 && life.finished == 1)) << "utterance " << id;
    }
  }

 private:
  void SeeFrame(const Frame& frame) {
    EXPECT_EQ(frame.index, frames_);
    EXPECT_EQ(frame.background, frames_ % static_cast<int64_t>(kAvatarFrames));
    Life& life = lives_[frame.utterance];
    EXPECT_TRUE(life.started == 1 && life.finished == 0) << "utterance " << frame.utterance;
    ++life.frames;
    ++frames_;
    sound_.insert(sound_.end(), frame.sound.begin(), frame.sound.end());
  }
  std::map<uint64_t, Life> lives_;
  uint64_t newest_started_ = 0;
  int64_t frames_ = 0;
  std::vector<std::byte> sound_;
};

TEST(SessionClear, OfAFreshSessionChangesNothing) {
  const Watchdog watchdog;
  TestStage stage;
  const auto avatar = stage.Load();
  const auto audio = Speech(16000);
  const Played want = Play(*stage.Open(avatar), audio);
  auto session = stage.Open(avatar);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(session->Clear()->utterance, 0);
  const Played played = Play(*session, audio);
  EXPECT_EQ(played.frames, want.frames);
  EXPECT_EQ(played.log, want.log);
}

TEST(SessionClear, BeforeTheFirstAudioOfAnUtteranceStartsAndFinishesIt) {
  const Watchdog watchdog;
  TestStage stage;
  auto session = stage.Open(stage.Load());
  ASSERT_TRUE(session->Audio(7, {}).ok());
  const ClearPoint point = *session->Clear();
  EXPECT_EQ(point.utterance, 7);
  EXPECT_EQ(point.played_samples, 0);
  EXPECT_TRUE(session->Audio(7, Speech(100)).ok());
  EXPECT_TRUE(session->Audio(3, Speech(50)).ok());
  EXPECT_TRUE(session->End(7).ok());
  EXPECT_EQ(session->counts().dropped_bytes, 300);
  ASSERT_TRUE(session->Audio(8, Speech(1000)).ok());
  ASSERT_TRUE(session->Finish().ok());
  EXPECT_THAT(ReadAll(*session).log,
              ElementsAre("started 7", "cut 7 at 0", "started 8", "finished 8 at 1000"));
}

TEST(SessionClear, TheStreamGoesOnAsIfTheUtteranceHadEndedThere) {
  const Watchdog watchdog;
  TestStage stage;
  const auto avatar = stage.Load();
  const auto first = Speech(2 * 16000), second = Speech(16000, 5) + Silence(8000);
  for (const Rational& fps : {Rational{25, 1}, {30000, 1001}, {60, 1}, {10, 1}}) {
    for (int batch : {1, 8}) {
      for (size_t cut : {0, 1, 6, 13}) {
        for (int clears : {1, 3}) {
          SCOPED_TRACE(fps.ToString() + ", batch " + std::to_string(batch) + ", cut at " +
                       std::to_string(cut) + ", " + std::to_string(clears) + " clears");
          SessionOptions options;
          options.fps = fps;
          options.batch = batch;
          auto session = stage.Open(avatar, options);
          ASSERT_TRUE(session->Audio(1, first).ok());
          Played played;
          ReadFrames(*session, cut, &played);
          const ClearPoint point = *session->Clear();
          const int64_t heard = FirstSample(static_cast<int64_t>(cut), 16000, fps);
          EXPECT_EQ(point.utterance, 1);
          EXPECT_EQ(point.played_samples, heard);
          for (int i = 1; i < clears; ++i) EXPECT_EQ(session->Clear()->utterance, 0);
          ASSERT_TRUE(session->Audio(1, first).ok());
          EXPECT_EQ(session->counts().dropped_bytes, static_cast<int64_t>(first.size()));
          ASSERT_TRUE(session->Audio(2, second).ok());
          ASSERT_TRUE(session->Finish().ok());
          played = ReadRest(*session, std::move(played));
          EXPECT_THAT(played.log,
                      ElementsAre("started 1", "cut 1 at " + std::to_string(heard), "started 2",
                                  "finished 2 at " + std::to_string(second.size() / 2)));
          const auto sound =
              std::vector(first.begin(), first.begin() + static_cast<ptrdiff_t>(2 * heard)) +
              second;
          EXPECT_TRUE(played.sound == sound);
          Played want = Play(*stage.Open(avatar, options), sound);
          ASSERT_EQ(played.frames.size(), want.frames.size());
          for (size_t i = 0; i < want.frames.size(); ++i) {
            want.frames[i].utterance = i < cut ? 1 : 2;
            // Before the cut a mouth was drawn from what was to follow.
            if (i < cut) want.frames[i].hash = played.frames[i].hash;
            EXPECT_EQ(played.frames[i], want.frames[i]);
          }
        }
      }
    }
  }
}

TEST(SessionClear, KeepsSoundAndPicturesInStepInEveryFormat) {
  const Watchdog watchdog;
  TestStage stage;
  const auto avatar = stage.Load();
  const audio::AudioFormat formats[] = {{22050, 2, audio::SampleType::kS24},
                                        {8000, 1, audio::SampleType::kMulaw},
                                        {44100, 6, audio::SampleType::kS16}};
  for (const audio::AudioFormat& format : formats) {
    SessionOptions options;
    options.format = format;
    options.fps = {30000, 1001};
    auto session = stage.Open(avatar, options);
    const auto first = Noise(static_cast<size_t>(format.rate_hz * 2 * format.frame_bytes()));
    const auto second = Noise(static_cast<size_t>(format.rate_hz * format.frame_bytes()), 2);
    // Cut in the middle of a sample.
    ASSERT_TRUE(session->Audio(1, std::span(first).first(first.size() - 1)).ok());
    Played played;
    ReadFrames(*session, 20, &played);
    const int64_t heard = FirstSample(20, format.rate_hz, *options.fps);
    EXPECT_EQ(session->Clear()->played_samples, heard);
    ASSERT_TRUE(session->Audio(2, second).ok());
    ASSERT_TRUE(session->Finish().ok());
    played = ReadRest(*session, std::move(played));
    EXPECT_TRUE(played.sound ==
                std::vector(first.begin(), first.begin() + heard * format.frame_bytes()) + second);
    EXPECT_EQ(static_cast<int64_t>(played.frames.size()),
              FramesFor(heard + format.rate_hz, format.rate_hz, *options.fps));
  }
}

TEST(SessionClear, AfterEndCutsWhatWasNotGivenOut) {
  const Watchdog watchdog;
  TestStage stage;
  auto session = stage.Open(stage.Load());
  ASSERT_TRUE(session->Audio(1, Speech(16000)).ok());
  ASSERT_TRUE(session->End(1).ok());
  Played played;
  ReadFrames(*session, 5, &played);
  EXPECT_EQ(session->Clear()->played_samples, 5 * kFrameSamples);
  EXPECT_TRUE(session->End(1).ok());
  EXPECT_TRUE(session->Audio(1, Speech(10)).ok());
  EXPECT_EQ(session->counts().dropped_bytes, 20);
  ASSERT_TRUE(session->Audio(2, Speech(1280)).ok());
  ASSERT_TRUE(session->Finish().ok());
  played = ReadRest(*session, std::move(played));
  EXPECT_THAT(played.log,
              ElementsAre("started 1", "cut 1 at 3200", "started 2", "finished 2 at 1280"));
  EXPECT_EQ(played.frames.size(), 7);
  ExpectOneBackgroundEachFrame(played);
}

TEST(SessionClear, CutsEveryUtteranceThatWaits) {
  const Watchdog watchdog;
  TestStage stage;
  auto session = stage.Open(stage.Load());
  for (uint64_t id : {1, 2, 3, 4}) ASSERT_TRUE(session->Audio(id, Speech(10 * 640, 1)).ok());
  Played played;
  ReadFrames(*session, 13, &played);
  const ClearPoint point = *session->Clear();
  EXPECT_EQ(point.utterance, 2);
  EXPECT_EQ(point.played_samples, 3 * kFrameSamples);
  EXPECT_TRUE(session->Audio(3, Speech(8)).ok());
  ASSERT_TRUE(session->Audio(5, Speech(640)).ok());
  ASSERT_TRUE(session->Finish().ok());
  played = ReadRest(*session, std::move(played));
  EXPECT_THAT(played.log, ElementsAre("started 1", "finished 1 at 6400", "started 2",
                                      "cut 2 at 1920", "started 3", "cut 3 at 0", "started 4",
                                      "cut 4 at 0", "started 5", "finished 5 at 640"));
  EXPECT_EQ(played.frames.back().utterance, 5);
  EXPECT_EQ(session->counts().dropped_bytes, 16);
  ExpectOneBackgroundEachFrame(played);
}

TEST(SessionClear, AfterFinishEndsTheStream) {
  const Watchdog watchdog;
  TestStage stage;
  auto session = stage.Open(stage.Load());
  ASSERT_TRUE(session->Audio(1, Speech(16000)).ok());
  ASSERT_TRUE(session->Finish().ok());
  Played played;
  ReadFrames(*session, 8, &played);
  EXPECT_EQ(session->Clear()->played_samples, 8 * kFrameSamples);
  EXPECT_EQ(session->total_frames(), 8);
  EXPECT_EQ(session->Audio(2, Speech(640)).code(), Code::kFailedPrecondition);
  played = ReadRest(*session, std::move(played));
  EXPECT_TRUE(played.status.ok());
  EXPECT_EQ(played.frames.size(), 8);
  EXPECT_THAT(played.log, ElementsAre("started 1", "cut 1 at 5120"));
  EXPECT_EQ(session->Clear()->utterance, 0);
  EXPECT_FALSE(session->Next()->has_value());
}

TEST(SessionClear, AfterTheLastFrameInterruptsNothing) {
  const Watchdog watchdog;
  TestStage stage;
  auto session = stage.Open(stage.Load());
  ASSERT_TRUE(session->Audio(1, Speech(1000)).ok());
  ASSERT_TRUE(session->Finish().ok());
  Played played;
  ReadFrames(*session, 2, &played);
  EXPECT_EQ(session->Clear()->utterance, 0);
  EXPECT_THAT(ReadRest(*session, played).log, ElementsAre("started 1", "finished 1 at 1000"));
}

TEST(SessionClear, ReferenceEdgesBecomeSilence) {
  const Watchdog watchdog;
  TestStage stage;
  SessionOptions options;
  options.edges = Edges::kReference;
  auto session = stage.Open(stage.Load(), options);
  ASSERT_TRUE(session->Audio(1, Speech(32000)).ok());
  Played played;
  ReadFrames(*session, 10, &played);
  ASSERT_TRUE(session->Clear().ok());
  ASSERT_TRUE(session->Audio(2, Speech(641)).ok());
  ASSERT_TRUE(session->Finish().ok());
  EXPECT_EQ(ReadRest(*session, played).frames.size(), 12);
}

TEST(SessionClear, OfAFailedSessionTellsItsStatus) {
  TestStage stage;
  auto session = stage.Open(stage.Load());
  session->Cancel(Status(Code::kDeadlineExceeded, "too late"));
  EXPECT_EQ(session->Clear().status().message(), "too late");
}

TEST(SessionClear, WakesAWriterThatWaits) {
  const Watchdog watchdog;
  TestStage stage;
  auto session = stage.Open(stage.Load());
  const auto audio = Speech(10 * 16000);  // nobody reads: 4 s of it fit
  ASSERT_TRUE(session->Audio(1, std::span(audio).first(2)).ok());
  std::atomic<bool> returned = false;
  std::thread writer([&] {
    EXPECT_TRUE(session->Audio(1, audio).ok());
    returned = true;
  });
  while (!returned) ASSERT_TRUE(session->Clear().ok());
  writer.join();
  EXPECT_GE(session->counts().dropped_bytes, 2 * 6 * 16000);
  EXPECT_LE(session->counts().dropped_bytes, static_cast<int64_t>(audio.size()));
}

TEST(SessionClear, WithoutAReaderItsNoticesStayBounded) {
  const Watchdog watchdog;
  TestStage stage;
  auto session = stage.Open(stage.Load());
  std::atomic<uint64_t> begun = 0;
  std::thread writer([&] {
    for (uint64_t id = 1; session->Audio(id, Speech(10)).ok(); ++id) begun = id;
  });
  while (begun < 30) ASSERT_TRUE(session->Clear().ok());
  for (int i = 0; i < 20000; ++i) ASSERT_TRUE(session->Clear().ok());
  EXPECT_LE(begun, 70);
  // A reader sets the writer free again.
  Played played;
  while (begun < 200) ASSERT_TRUE(ReadOne(*session, &played) && session->Clear().ok());
  session->Cancel(Status(Code::kCancelled, "done"));
  writer.join();
}

TEST(SessionClear, ASessionCanBeFinishedHoweverManyNoticesWait) {
  const Watchdog watchdog;
  TestStage stage;
  auto session = stage.Open(stage.Load());
  for (uint64_t id = 1; id <= 40; ++id) {
    ASSERT_TRUE(session->TryAudio(id, Speech(10)).ok());
    ASSERT_TRUE(session->Clear().ok());
  }
  EXPECT_EQ(session->Finish().ToString(), "OK");
  const Played played = ReadAll(*session);
  EXPECT_GT(played.log.size(), 64U);
  EXPECT_TRUE(played.status.ok());
}

TEST(SessionClear, FromAnotherThreadAtAnyTime) {
  TestStage stage;
  const auto avatar = stage.Load();
  std::mt19937 random(20240607);
  for (int round = 0; round < 100; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const Watchdog watchdog;
    SessionOptions options;
    options.batch = round % 3 == 0 ? 4 : 1;
    auto session = stage.Open(avatar, options);
    const auto trigger = static_cast<int64_t>(random() % 35);  // frames
    const size_t pause = random() % 300;
    const size_t piece = 2 * (1 + random() % 4000);
    const bool waits = random() % 2 == 0;  // else the next utterance may be cut too
    const uint64_t last = 4;
    std::latch reached(1), cut(1);
    std::atomic<bool> cleared = false;
    ASSERT_TRUE(session->Audio(1, {}).ok());  // what the clear cuts, if it comes first
    std::thread cutter([&] {
      reached.wait();
      for (size_t i = 0; i < pause; ++i) std::this_thread::yield();
      EXPECT_TRUE(session->Clear().ok());
      cleared = true;
      cut.count_down();
    });
    const auto audio = Speech(2 * 16000), final_audio = Speech(12345, 3);
    std::thread writer([&] {
      for (uint64_t id = 1; id < last; ++id) {
        if (waits && id > 1) cut.wait();
        for (size_t at = 0; at < audio.size(); at += piece) {
          const size_t count = std::min(piece, audio.size() - at);
          EXPECT_TRUE(session->Audio(id, std::span(audio).subspan(at, count)).ok());
        }
        EXPECT_TRUE(session->End(id).ok());
      }
      cut.wait();
      EXPECT_TRUE(session->Audio(last, final_audio).ok());
      EXPECT_TRUE(session->Finish().ok());
    });
    Witness witness;
    int after = 0;
    if (trigger == 0) reached.count_down();
    while (true) {
      const bool before_call = cleared;
      const auto event = session->Next();
      ASSERT_TRUE(event.ok()) << event.status().ToString();
      if (!event->has_value()) break;
      witness.See(**event);
      const bool is_frame = (*event)->kind == Event::Kind::kFrame;
      if (is_frame && witness.frames() == trigger) reached.count_down();
      if (!is_frame || !waits || (*event)->frame.utterance != 1 || !cleared) continue;
      EXPECT_FALSE(before_call) << "a frame of the cleared utterance";
      ++after;
    }
    cutter.join();
    writer.join();
    EXPECT_LE(after, 1);
    witness.ExpectAllOver();
    EXPECT_FALSE(witness.life(last).interrupted);
    EXPECT_EQ(witness.life(last).played, 12345);
    const auto& sound = witness.sound();
    EXPECT_TRUE(std::equal(final_audio.rbegin(), final_audio.rend(), sound.rbegin()));
  }
}

}  // namespace
}  // namespace lipcast::pipeline
