// Many threads, many sessions, and models that fail: who waits, who is told, what is never shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <latch>
#include <limits>
#include <random>
#include <thread>

#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

using inference::FakeModel;
using inference::Gate;
using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(SessionThreads, AReaderThatStopsStopsTheWriterAndMemoryIsBounded) {
  const Watchdog watchdog;
  TestStage stage;
  for (int batch : {1, 4}) {
    SessionOptions options;
    options.batch = batch;
    auto session = stage.Open(stage.Load(), options);
    constexpr int64_t kFrames = 500, kHeld = 100;  // 20 s, 4 s
    std::atomic<int64_t> written = 0;
    std::thread writer([&] {
      const auto frame = Speech(640);
      for (; written < kFrames; ++written) EXPECT_TRUE(session->Audio(1, frame).ok());
      EXPECT_TRUE(session->Finish().ok());
    });
    while (written < kHeld) std::this_thread::yield();
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    EXPECT_EQ(written, kHeld);
    Played played;
    while (ReadOne(*session, &played)) {
      const auto read = static_cast<int64_t>(played.frames.size());
      ASSERT_LE(written, read + kHeld + 1);
      ASSERT_LE(stage.engine().executor().queued(), 8);
    }
    writer.join();
    EXPECT_EQ(played.frames.size(), kFrames);
    const int slots = batch * (stage.engine().workers() + 2) + 4;
    EXPECT_LE(session->counts().picture_allocations, slots + 1);
  }
}

TEST(SessionThreads, ASessionMayBeDestroyedInTheMiddleOfADraw) {
  const auto gate = std::make_shared<Gate>();
  StageOptions stage_options;
  stage_options.generator = inference::Gated(DetailGenerator(), gate);
  TestStage stage(stage_options);
  const auto avatar = stage.Load();
  for (int batch : {1, 3}) {
    const Watchdog watchdog;
    SessionOptions options;
    options.batch = batch;
    auto session = stage.Open(avatar, options);
    ASSERT_TRUE(session->Audio(1, Speech(640)).ok());
    ASSERT_TRUE(session->Audio(2, Speech(2 * 16000)).ok());
    std::optional<Frame> kept;
    while (!kept) {
      auto event = session->Next();
      if ((*event)->kind == Event::Kind::kFrame) kept = std::move((*event)->frame);
    }
    const uint64_t hash = HashOf(kept->picture);
    gate->Close();
    // What was drawn before the door closed is read, so that the workers come to it.
    std::atomic<bool> over = false;
    std::thread reader([&] {
      while (session->Next().ok()) {
      }
      over = true;
    });
    gate->AwaitWaiting(stage.engine().workers());
    session->Cancel(Status(Code::kCancelled, "enough"));
    reader.join();
    EXPECT_TRUE(over);
    std::latch going(1);
    std::thread closer([&] {
      going.count_down();
      session.reset();
    });
    going.wait();
    gate->Open();
    closer.join();
    EXPECT_EQ(HashOf(kept->picture), hash) << "a frame given out lives on";
  }
}

TEST(SessionThreads, ASessionMayBeDestroyedWithAudioUnread) {
  TestStage stage;
  const auto avatar = stage.Load();
  for (int round = 0; round < 50; ++round) {
    const Watchdog watchdog;
    auto session = stage.Open(avatar);
    EXPECT_TRUE(session->Audio(1, Speech(100 * round)).ok());
    EXPECT_TRUE(round % 2 == 0 || session->Finish().ok());
  }
}

TEST(SessionThreads, CancelWakesReaderAndWriter) {
  const Watchdog watchdog;
  TestStage stage;
  auto full = stage.Open(stage.Load()), empty = stage.Open(stage.Load());
  std::thread writer([&] {
    EXPECT_EQ(full->Audio(1, Speech(10 * 16000)).code(), Code::kUnavailable);
    EXPECT_EQ(full->End(1).code(), Code::kUnavailable);
    EXPECT_EQ(full->Finish().message(), "drained");
  });
  std::thread reader([&] { EXPECT_EQ(empty->Next().status().code(), Code::kUnavailable); });
  for (auto* session : {full.get(), empty.get()}) {
    session->Cancel(Status(Code::kUnavailable, "drained"));
    session->Cancel(Status(Code::kInternal, "the first reason stays"));
  }
  writer.join();
  reader.join();
  EXPECT_EQ(ReadAll(*full).status.message(), "drained");
}

TEST(SessionThreads, CancelMayComeFromAModelRun) {
  const Watchdog watchdog;
  std::atomic<Session*> target = nullptr;
  StageOptions stage_options;
  FakeModel& model = stage_options.generator;
  model.run = [&target, run = model.run](int64_t n, auto inputs, auto outputs) {
    if (Session* session = target) session->Cancel(Status(Code::kAborted, "from a worker"));
    return run(n, inputs, outputs);
  };
  TestStage stage(stage_options);
  auto session = stage.Open(stage.Load());
  target = session.get();
  EXPECT_EQ(Play(*session, Speech(16000)).status.message(), "from a worker");
}

TEST(SessionThreads, CancelMayComeAtAnyTime) {
  TestStage stage;
  const auto avatar = stage.Load();
  const auto audio = Speech(2 * 16000);
  const auto want = Play(*stage.Open(avatar), audio).hashes();
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const Watchdog watchdog;
    auto session = stage.Open(avatar);
    const size_t pause = random() % 300;
    std::latch going(1);
    std::thread canceller([&] {
      going.wait();
      for (size_t i = 0; i < pause; ++i) std::this_thread::yield();
      session->Cancel(Status(Code::kCancelled, "stop"));
    });
    going.count_down();
    const Played played = Play(*session, audio, 1000);
    canceller.join();
    EXPECT_TRUE(played.status.ok() || played.status.message() == "stop");
    EXPECT_TRUE(!played.status.ok() || played.frames.size() == want.size());
    ASSERT_LE(played.frames.size(), want.size());
    for (size_t i = 0; i < played.frames.size(); ++i) EXPECT_EQ(played.frames[i].hash, want[i]);
  }
}

TEST(SessionThreads, AFrameThatRunsOutOfMemoryEndsItsSessionAndNoOther) {
  const Watchdog watchdog;
  StageOptions stage_options;
  stage_options.generator.run = [run = stage_options.generator.run](int64_t n, auto inputs,
                                                                    auto outputs) -> Status {
    const bool warm_up = std::ranges::all_of(inputs[1], [](float v) { return v == 0; });
    if (!warm_up) throw std::bad_alloc();
    return run(n, inputs, outputs);
  };
  TestStage stage(stage_options);
  const auto avatar = stage.Load();
  const Played played = Play(*stage.Open(avatar), Speech(16000));
  EXPECT_EQ(played.status.code(), Code::kResourceExhausted) << played.status.ToString();
  EXPECT_EQ(Play(*stage.Open(avatar), Silence(16000)).frames.size(), 25u);
}

TEST(SessionThreads, ManySessionsGiveTheBytesOfEachAloneAndNoForeignPixel) {
  const Watchdog watchdog;
  StageOptions stage_options;
  stage_options.workers = 3;
  TestStage stage(stage_options);
  StageAvatar looks[2];
  looks[1].seed = 99;
  looks[1].width = 96;
  looks[1].height = 80;
  const std::shared_ptr<const LoadedAvatar> avatars[] = {stage.Load(looks[0]),
                                                         stage.Load(looks[1])};
  constexpr size_t kSessions = 12;
  struct Part {
    std::shared_ptr<const LoadedAvatar> avatar;
    SessionOptions options;
    std::vector<std::byte> audio;
    Played alone, together;
  };
  std::vector<Part> parts(kSessions);
  for (size_t i = 0; i < kSessions; ++i) {
    parts[i].avatar = avatars[i % 2];
    parts[i].options.batch = static_cast<int>(1 + i % 5);
    parts[i].options.fps = i % 3 == 0 ? Rational{60, 1} : Rational{25, 1};
    const auto seed = static_cast<uint32_t>(i + 1);
    parts[i].audio = Speech(20000, seed) + Silence(8000) + Speech(9000 + 100 * seed, seed);
    parts[i].alone = Play(*stage.Open(parts[i].avatar, parts[i].options), parts[i].audio);
  }
  std::latch together(kSessions);
  std::vector<std::thread> threads;
  for (Part& part : parts) {
    threads.emplace_back([&] {
      auto session = stage.Open(part.avatar, part.options);
      together.arrive_and_wait();
      part.together = Play(*session, part.audio, 3000, [&](const Frame& frame) {
        const auto source = *part.avatar->avatar->Frame(frame.background);
        const size_t rows = static_cast<size_t>(kStageBox.y0) * source->width();
        EXPECT_TRUE(
            std::equal(frame.picture.plane[0], frame.picture.plane[0] + rows, source->data()));
      });
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Part& part : parts) {
    EXPECT_EQ(part.together.frames, part.alone.frames);
    EXPECT_TRUE(part.together.sound == part.audio);
    EXPECT_EQ(part.together.log, part.alone.log);
  }
}

TEST(SessionThreads, AModelErrorEndsTheStreamWithItsStatus) {
  const Watchdog watchdog;
  for (bool encoder : {false, true}) {
    const Status lost(Code::kUnavailable, "the device was lost");
    StageOptions stage_options;
    if (encoder) {
      stage_options.encoder.run = [lost, n = std::make_shared<std::atomic<int>>(0),
                                   run = stage_options.encoder.run](int64_t items, auto inputs,
                                                                    auto outputs) {
        return (*n)++ == 0 ? run(items, inputs, outputs) : lost;
      };
    } else {
      stage_options.generator = FailingGenerator(lost);
    }
    TestStage stage(stage_options);
    const auto avatar = stage.Load();
    auto session = stage.Open(avatar), silent = stage.Open(avatar);
    const Played played = Play(*session, Silence(16000) + Speech(16000));
    EXPECT_EQ(played.status.code(), Code::kUnavailable);
    EXPECT_THAT(played.status.message(), HasSubstr("the device was lost"));
    EXPECT_LT(played.frames.size(), 25);
    for (const Shown& shown : played.frames) EXPECT_FALSE(shown.speaking);
    EXPECT_EQ(session->Audio(2, Speech(10)).code(), Code::kUnavailable);
    EXPECT_EQ(session->Next().status().code(), Code::kUnavailable);
    // One without a mouth to draw goes on.
    EXPECT_EQ(Play(*silent, Silence(16000)).frames.size(), 25);
  }
}

/// Every frame of a stream whose model gives `model`'s pictures, and what was counted.
struct Outcome {
  Played played;
  SessionCounts counts;
  int64_t metric = 0;
  bool source_shown = true;
};
Outcome Show(FakeModel generator, FakeModel encoder = DetailEncoder()) {
  StageOptions stage_options;
  stage_options.generator = std::move(generator);
  stage_options.encoder = std::move(encoder);
  TestStage stage(stage_options);
  const auto avatar = stage.Load();
  SessionOptions options;
  options.fps = {50, 1};
  options.batch = 3;
  auto session = stage.Open(avatar, options);
  Outcome outcome;
  outcome.played = Play(*session, Speech(16000), SIZE_MAX, [&](const Frame& frame) {
    const auto source = *avatar->avatar->Frame(frame.background);
    outcome.source_shown &= HashOf(frame.picture) == HashOf(source->view());
  });
  outcome.counts = session->counts();
  session.reset();  // a worker may still be at the end of the last frames
  outcome.metric = stage.metrics().count("not_finite_frames_total");
  return outcome;
}

TEST(SessionThreads, WhatIsNotFiniteNeverReachesAPixelAndIsCounted) {
  const Watchdog watchdog;
  FakeModel one_bad_value = FlatGenerator(0.5F);
  one_bad_value.run = [run = one_bad_value.run](int64_t n, auto inputs, auto outputs) {
    const Status status = run(n, inputs, outputs);
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      outputs[0][(i + 1) * outputs[0].size() / static_cast<size_t>(n) - 1] = kNan;
    }
    return status;
  };
  FakeModel bad_features = DetailEncoder();
  bad_features.run = [](int64_t, auto, auto outputs) {
    std::ranges::fill(outputs[0], kNan);
    return Status();
  };
  const Outcome outcomes[] = {Show(FlatGenerator(kNan)), Show(FlatGenerator(kInf)),
                              Show(FlatGenerator(-kInf)), Show(one_bad_value),
                              Show(DetailGenerator(), bad_features)};
  for (const Outcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.played.status.ok());
    EXPECT_EQ(outcome.played.frames.size(), 50);
    EXPECT_TRUE(outcome.source_shown);
    EXPECT_EQ(outcome.counts.not_finite_frames, 50);
    EXPECT_EQ(outcome.counts.generated, 0);
    EXPECT_EQ(outcome.metric, 50);
    for (const Shown& shown : outcome.played.frames) EXPECT_FALSE(shown.speaking);
  }
}

TEST(SessionThreads, WhatIsBelow0OrAbove1IsClamped) {
  const Watchdog watchdog;
  for (auto [wild, clamped] : {std::pair{-1.0F, 0.0F}, {2.0F, 1.0F}, {-1e30F, 0.0F}, {1e30F, 1}}) {
    const Outcome outcome = Show(FlatGenerator(wild));
    EXPECT_EQ(outcome.played.frames, Show(FlatGenerator(clamped)).played.frames) << wild;
    EXPECT_EQ(outcome.counts.not_finite_frames, 0);
    EXPECT_EQ(outcome.counts.generated, 50);
    EXPECT_FALSE(outcome.source_shown);
  }
}

}  // namespace
}  // namespace lipcast::pipeline
