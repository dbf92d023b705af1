#include "lipcast/pipeline/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <set>
#include <thread>

#include "lipcast/pipeline/session.h"
#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

using inference::Gate;
using testing::HasSubstr;

TEST(Engine, RefusesANumberOfWorkersOutOfRange) {
  for (int workers : {-1, 257, INT32_MAX, INT32_MIN}) {
    EngineOptions options;
    options.workers = workers;
    const auto engine = Engine::Create(options, {});
    EXPECT_EQ(engine.status().code(), Code::kInvalidArgument);
    EXPECT_EQ(engine.status().message(),
              "workers = " + std::to_string(workers) + ": want 0..256 (0: one a core)");
  }
}

TEST(Engine, HasTheWorkersAskedForOrOnePerCore) {
  for (int workers : {1, 3}) {
    TestStage stage({.workers = workers});
    EXPECT_EQ(stage.engine().workers(), workers);
    std::set<const WorkerScratch*> scratch;
    for (int i = 0; i < workers; ++i) scratch.insert(&stage.engine().scratch(i));
    EXPECT_EQ(scratch.size(), static_cast<size_t>(workers));
  }
  EXPECT_EQ(TestStage({.workers = 0}).engine().workers(),
            std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
}

TEST(Engine, NamesTheAvatarThatCannotBeLoaded) {
  TestStage stage;
  const auto missing = stage.engine().LoadAvatar(stage.folder() / "nobody");
  EXPECT_EQ(missing.status().code(), Code::kNotFound) << missing.status().ToString();
  EXPECT_THAT(missing.status().message(), HasSubstr("nobody"));
  ASSERT_NE(stage.Load(), nullptr);
  avatar::WriteFile(stage.folder() / "1" / "generator.onnx", "touched");
  const auto touched = stage.engine().LoadAvatar(stage.folder() / "1");
  EXPECT_FALSE(touched.ok());
  EXPECT_THAT(touched.status().message(), HasSubstr("generator.onnx"));
}

TEST(Engine, NamesTheAvatarWhoseNetworkFailsItsFirstRun) {
  StageOptions stage_options;
  const auto broken = std::make_shared<std::atomic<bool>>(false);
  inference::FakeModel& model = stage_options.generator;
  model.run = [broken, run = model.run](int64_t n, auto inputs, auto outputs) {
    return *broken ? Status(Code::kInternal, "no such kernel") : run(n, inputs, outputs);
  };
  TestStage stage(stage_options);
  const auto avatar = stage.Load();
  *broken = true;
  const auto refused = stage.engine().LoadAvatar(stage.folder() / "1");
  EXPECT_EQ(refused.status().message(),
            "avatar '" + avatar->avatar->manifest().name + "': generator.onnx: no such kernel");
  *broken = false;
  EXPECT_EQ(Play(*stage.Open(avatar), Speech(6400)).frames.size(), 10) << "what runs goes on";
}

TEST(Engine, SaysWhichBackendAnAvatarRunsOn) {
  TestStage stage;
  EXPECT_EQ(stage.Load()->backend, "fake");
}

TEST(Engine, ALoadInProgressStopsNoSession) {
  const Watchdog watchdog;
  const auto gate = std::make_shared<Gate>();
  StageOptions stage_options;
  inference::FakeModel& model = stage_options.generator;
  model.run = [gate, run = model.run](int64_t n, auto inputs, auto outputs) {
    // The run that warms a network up has a context of zeros.
    if (std::ranges::all_of(inputs[1], [](float v) { return v == 0; })) gate->Pass();
    return run(n, inputs, outputs);
  };
  stage_options.workers = 1;
  TestStage stage(stage_options);
  const auto avatar = stage.Load();
  gate->Close();
  std::thread loader([&] { EXPECT_TRUE(stage.engine().LoadAvatar(stage.folder() / "1").ok()); });
  gate->AwaitWaiting(1);
  EXPECT_EQ(Play(*stage.Open(avatar), Speech(16000)).frames.size(), 25);
  gate->Open();
  loader.join();
}

TEST(Engine, LoadsFromManyThreadsAtOnce) {
  TestStage stage;
  const auto want = Play(*stage.Open(stage.Load()), Speech(6400)).frames;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      auto avatar = stage.engine().LoadAvatar(stage.folder() / "1");
      ASSERT_TRUE(avatar.ok()) << avatar.status().ToString();
      EXPECT_EQ(Play(*stage.Open(*std::move(avatar)), Speech(6400)).frames, want);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Engine, ASessionKeepsItsAvatarAlive) {
  TestStage stage;
  auto avatar = stage.Load();
  const std::weak_ptr<const LoadedAvatar> watch = avatar;
  auto session = stage.Open(std::move(avatar));
  avatar = nullptr;
  EXPECT_FALSE(watch.expired()) << "a session in use never loses its avatar";
  EXPECT_EQ(Play(*session, Speech(6400)).frames.size(), 10);
  session = nullptr;
  EXPECT_TRUE(watch.expired());
}

TEST(Engine, AnExceptionOfATaskIsCountedAndTheWorkerServesOn) {
  TestStage stage({.workers = 1});
  const auto session = stage.Open(stage.Load());
  stage.engine().executor().Post(TimePoint::min(), [](int) { throw std::bad_alloc(); });
  EXPECT_EQ(Play(*session, Speech(16000)).frames.size(), 25);
  EXPECT_EQ(stage.metrics().count("escaped_exceptions_total"), 1);
}

TEST(Engine, OneWorkerServesManySessionsReadInTurn) {
  const Watchdog watchdog;
  TestStage stage({.workers = 1});
  const auto avatar = stage.Load();
  std::vector<std::unique_ptr<Session>> sessions;
  for (uint32_t i = 0; i < 10; ++i) {
    sessions.push_back(stage.Open(avatar));
    ASSERT_TRUE(sessions.back()->Audio(1, Speech(16000, i + 1)).ok());
    ASSERT_TRUE(sessions.back()->Finish().ok());
  }
  std::vector<Played> played(10);
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < 10; ++i) more |= ReadOne(*sessions[i], &played[i]);
  }
  for (uint32_t i = 0; i < 10; ++i) {
    EXPECT_EQ(played[i].frames, Play(*stage.Open(avatar), Speech(16000, i + 1)).frames);
  }
}

}  // namespace
}  // namespace lipcast::pipeline
