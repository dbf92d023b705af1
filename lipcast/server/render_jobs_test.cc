#include "lipcast/server/render_jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <set>

#include "lipcast/server/test_stand.h"

namespace lipcast::server {
namespace {

using inference::Gate;
using pipeline::Speech;
using testing::HasSubstr;
using testing::Not;

constexpr audio::AudioFormat kPcm{16'000, 1, audio::SampleType::kS16};

class Ear final : public RenderListener {
 public:
  void OnRender(const RenderInfo& info, const std::shared_ptr<const FinishedFile>& file) override {
    const std::lock_guard lock(mu_);
    heard_.push_back(info);
    file_ = file;
    changed_.notify_all();
  }
  RenderInfo Await(RenderState state) {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return !heard_.empty() && heard_.back().state == state; });
    return heard_.back();
  }
  std::shared_ptr<const FinishedFile> file() {
    const std::lock_guard lock(mu_);
    return file_;
  }
  std::vector<RenderInfo> heard() {
    const std::lock_guard lock(mu_);
    return heard_;
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<RenderInfo> heard_;             // guarded by mu_
  std::shared_ptr<const FinishedFile> file_;  // guarded by mu_
};

class RenderJobsTest : public testing::Test {
 protected:
  RenderJobsTest() { gate_.Open(); }
  ~RenderJobsTest() override { gate_.Open(); }

  RenderJobs& jobs() {
    if (!jobs_) {
      options_.folder = folder_.path();
      auto made = RenderJobs::Create(options_, {&stand_.stage_.engine(), &stand_.registry_,
                                                &stand_.metrics_, &stand_.log_, &clock_});
      EXPECT_TRUE(made.ok()) << made.status().ToString();
      jobs_ = *std::move(made);
    }
    return *jobs_;
  }
  RenderSound SoundOf(std::string_view bytes, bool raw) {
    RenderSound sound;
    auto file = UploadFile::Create(jobs().folder());
    EXPECT_TRUE(file.ok() && (*file)->Append(bytes).ok());
    sound.file = *std::move(file);
    if (raw) sound.raw = kPcm;
    return sound;
  }
  RenderSound Pcm(int64_t samples) {
    const auto bytes = Speech(samples);
    return SoundOf({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, true);
  }
  Result<RenderInfo> Submit(int64_t samples) { return jobs().Submit(spec_, Pcm(samples)); }
  std::shared_ptr<Ear> Listen(const std::string& id) {
    auto ear = std::make_shared<Ear>();
    EXPECT_TRUE(jobs().Watch(id, ear).ok());
    return ear;
  }
  RenderInfo Rendered(int64_t samples) {
    const auto job = Submit(samples);
    EXPECT_TRUE(job.ok()) << job.status().ToString();
    return job.ok() ? Listen(job->id)->Await(RenderState::kDone) : RenderInfo();
  }
  /// No frame is drawn until the gate opens.
  void HoldTheWorkers() {
    gate_.Close();
    for (int i = 0; i < stand_.stage_.engine().workers(); ++i) {
      stand_.stage_.engine().executor().Post(TimePoint::min(), [&](int) { gate_.Pass(); });
    }
    gate_.AwaitWaiting(stand_.stage_.engine().workers());
  }
  size_t FilesLeft() {
    size_t files = 0;
    for (const auto& item : std::filesystem::recursive_directory_iterator(folder_.path())) {
      if (item.is_regular_file()) ++files;
    }
    return files;
  }

  pipeline::Watchdog watchdog_;
  Gate gate_;
  TestStand stand_;
  FakeClock clock_;
  TempFolder folder_;
  RenderJobsOptions options_;
  RenderSpec spec_{.avatar = "1", .session = {}};
  std::unique_ptr<RenderJobs> jobs_;
};

TEST_F(RenderJobsTest, TheFileIsThatOfARenderOfTheSameSound) {
  const RenderInfo info = Rendered(16'100);
  EXPECT_EQ(info.frames, 26);
  EXPECT_EQ(info.total_frames, 26);
  EXPECT_EQ(info.provider, "cpu");
  EXPECT_GT(info.wall.count(), 0);
  const auto file = jobs().File(info.id);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  const std::string bytes = avatar::ReadFile((*file)->path());
  EXPECT_EQ(static_cast<int64_t>(bytes.size()), info.bytes);

  const auto sound = Pcm(16'100);
  const auto reader = *OpenRenderSound(sound);
  media::SinkOptions sink_options = pipeline::SinkOptionsFor({}, *stand_.avatars_[0], *reader);
  sink_options.path = folder_.path() / "alone.mp4";
  const auto sink = *media::CreateMovieSink(media::MovieContainer::kMp4, sink_options);
  const auto session = stand_.stage_.Open(stand_.avatars_[0]);
  pipeline::RenderTask task;
  task.reader = reader.get();
  task.session = session.get();
  task.sink = sink.get();
  ASSERT_TRUE(pipeline::RenderToSink(task).status.ok());
  EXPECT_TRUE(avatar::ReadFile(sink_options.path) == bytes);
}

TEST_F(RenderJobsTest, ProgressOnlyGrowsAndTheEndIsToldLast) {
  HoldTheWorkers();
  const auto job = Submit(16'000 * 3);
  ASSERT_TRUE(job.ok());
  const auto ear = Listen(job->id);
  gate_.Open();
  ear->Await(RenderState::kDone);
  const auto heard = ear->heard();
  for (size_t i = 1; i < heard.size(); ++i) {
    EXPECT_GE(heard[i].frames, heard[i - 1].frames);
    EXPECT_GE(heard[i].state, heard[i - 1].state);
  }
  EXPECT_EQ(heard.back().frames, 75);
  EXPECT_FALSE(IsOver(heard[heard.size() - 2].state));
}

TEST_F(RenderJobsTest, EveryTenthOfASecondOfProgressIsToldAndNoMore) {
  HoldTheWorkers();
  const auto job = Submit(16'000 * 3);
  ASSERT_TRUE(job.ok());
  const auto ear = Listen(job->id);
  ear->Await(RenderState::kRunning);
  gate_.Open();
  ear->Await(RenderState::kDone);
  // The clock stood still: queued or running at first, running with its session, done.
  EXPECT_LE(ear->heard().size(), 4u);
}

TEST_F(RenderJobsTest, AJobBeyondTheQueueIsRefusedAndTheOthersEnd) {
  options_.queued = 1;
  HoldTheWorkers();
  const auto first = Submit(1000), second = Submit(1000), third = Submit(1000);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(third.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(third.status().message(), HasSubstr("limits.queued_jobs = 1"));
  EXPECT_EQ(jobs().active(), 2);
  gate_.Open();
  Listen(first->id)->Await(RenderState::kDone);
  Listen(second->id)->Await(RenderState::kDone);
  EXPECT_TRUE(Submit(1000).ok());
  const auto list = jobs().List();
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].id, first->id);
  EXPECT_EQ(list[1].id, second->id);
}

TEST_F(RenderJobsTest, WhatIsWrongIsSaidAtOnceInOneLineWithoutPaths) {
  const auto code_and_text = [&](const RenderSpec& spec, RenderSound sound) {
    const Status status = jobs().Submit(spec, std::move(sound)).status();
    EXPECT_THAT(status.message(), Not(HasSubstr(folder_.path().string())));
    EXPECT_THAT(status.message(), Not(HasSubstr("\n")));
    return std::pair(status.code(), status.message());
  };
  for (const std::string_view broken : {"", "noise that is no sound", "RIFF\x10\0\0\0WAVEjunk"}) {
    const auto [code, text] = code_and_text(spec_, SoundOf(broken, false));
    EXPECT_EQ(code, Code::kInvalidArgument) << text;
    EXPECT_THAT(text, HasSubstr("the sound"));
  }
  RenderSpec spec = spec_;
  spec.avatar = "nobody";
  EXPECT_EQ(code_and_text(spec, Pcm(100)).first, Code::kNotFound);
  spec.avatar = "../1";
  EXPECT_EQ(code_and_text(spec, Pcm(100)).first, Code::kInvalidArgument);
  spec = spec_;
  spec.crf = 52;
  EXPECT_THAT(code_and_text(spec, Pcm(100)).second, HasSubstr("crf = 52: want 0..51"));
  spec = spec_;
  spec.session.fps = Rational{1000, 1};
  EXPECT_EQ(code_and_text(spec, Pcm(100)).first, Code::kInvalidArgument);
  RenderSound sound = Pcm(100);
  sound.raw->rate_hz = 7;
  EXPECT_EQ(code_and_text(spec_, sound).first, Code::kInvalidArgument);
  EXPECT_TRUE(jobs().List().empty());
}

TEST_F(RenderJobsTest, AnAvatarThatFailsFailsItsJobAlone) {
  stand_.stage_.Load();
  avatar::WriteFile(stand_.stage_.folder() / "3" / "generator.onnx", "torn");
  spec_.avatar = "3";
  const auto job = Submit(1000);
  ASSERT_TRUE(job.ok());
  const RenderInfo info = Listen(job->id)->Await(RenderState::kFailed);
  EXPECT_THAT(info.status.message(), HasSubstr("generator.onnx"));
  EXPECT_THAT(jobs().File(job->id).status().message(), HasSubstr("generator.onnx"));
  spec_.avatar = "1";
  Rendered(1000);
}

TEST_F(RenderJobsTest, RemovedItEndsWhereverItIsAndLeavesNoFile) {
  HoldTheWorkers();
  const auto running = Submit(16'000 * 20), queued = Submit(16'000);
  ASSERT_TRUE(running.ok() && queued.ok());
  const auto ear = Listen(running->id), other = Listen(queued->id);
  ear->Await(RenderState::kRunning);
  for (const std::string& id : {running->id, queued->id}) {
    EXPECT_EQ(jobs().File(id).status().code(), Code::kFailedPrecondition);
    EXPECT_TRUE(jobs().Remove(id).ok());
    EXPECT_EQ(jobs().Get(id).status().code(), Code::kNotFound);
    EXPECT_EQ(jobs().Remove(id).code(), Code::kNotFound);
  }
  EXPECT_EQ(other->heard().back().state, RenderState::kCancelled) << "not only when its turn comes";
  gate_.Open();
  EXPECT_EQ(ear->Await(RenderState::kCancelled).status.message(), "the render was removed");
  EXPECT_EQ(jobs().active(), 0);
  const RenderInfo done = Rendered(1000);
  EXPECT_EQ(FilesLeft(), 1u);
  EXPECT_TRUE(jobs().Remove(done.id).ok());
  EXPECT_EQ(FilesLeft(), 0u);
}

TEST_F(RenderJobsTest, AFileStaysWhileSomebodyReadsIt) {
  const RenderInfo info = Rendered(1000);
  auto file = *jobs().File(info.id);
  const auto path = file->path();
  EXPECT_TRUE(jobs().Remove(info.id).ok());
  EXPECT_TRUE(std::filesystem::exists(path));
  file.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(RenderJobsTest, WhatEndedIsForgottenAfterItsTimeWhatRunsIsNot) {
  const RenderInfo old = Rendered(1000);
  clock_.Advance(std::chrono::minutes(59));
  HoldTheWorkers();
  const auto running = Submit(1000);
  ASSERT_TRUE(running.ok());
  jobs().Tidy();
  EXPECT_TRUE(jobs().Get(old.id).ok());
  clock_.Advance(std::chrono::minutes(1));
  jobs().Tidy();
  EXPECT_EQ(jobs().Get(old.id).status().code(), Code::kNotFound);
  clock_.Advance(std::chrono::hours(5));
  jobs().Tidy();
  EXPECT_TRUE(jobs().Get(running->id).ok());
  gate_.Open();
  Listen(running->id)->Await(RenderState::kDone);
}

TEST_F(RenderJobsTest, TheOldestFileGoesForANewerOneAndASoundThatCannotFitIsRefused) {
  const RenderInfo first = Rendered(16'000);
  jobs_.reset();
  options_.disk_bytes = first.bytes * 5 / 2 + 32'000;  // and the sound of one
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(Rendered(16'000).id);
  EXPECT_EQ(jobs().Get(ids[0]).status().code(), Code::kNotFound);
  EXPECT_TRUE(jobs().File(ids[1]).ok());
  EXPECT_TRUE(jobs().File(ids[2]).ok());
  const auto upload = *UploadFile::Create(jobs().folder());
  const Status refused =
      upload->Append(std::string(static_cast<size_t>(options_.disk_bytes + 1), 'x'));
  EXPECT_EQ(refused.code(), Code::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("renders.disk_mb"));
  EXPECT_EQ(upload->bytes(), 0u);
}

TEST_F(RenderJobsTest, UploadsUnderWayCountFromTheirFirstByte) {
  options_.disk_bytes = 100'000;
  const RenderInfo done = Rendered(1000);
  const auto first = *UploadFile::Create(jobs().folder());
  ASSERT_TRUE(first->Append(std::string(60'000, 'x')).ok());
  auto second = *UploadFile::Create(jobs().folder());
  EXPECT_EQ(second->Append(std::string(60'000, 'x')).code(), Code::kResourceExhausted);
  EXPECT_EQ(jobs().Get(done.id).status().code(), Code::kNotFound) << "its file went for it";
  ASSERT_TRUE(second->Append(std::string(40'000, 'x')).ok());
  EXPECT_EQ(jobs().folder().share()->used(), 100'000);
  second.reset();
  EXPECT_EQ(jobs().folder().share()->used(), 60'000);
}

TEST_F(RenderJobsTest, AFileThatOutgrowsTheShareFailsItsRenderBeforeTheDiskIsFull) {
  const RenderInfo whole = Rendered(16'000 * 4);
  jobs_.reset();
  options_.disk_bytes = 16'000 * 4 * 2 + whole.bytes / 2;  // the sound, and half of the file
  const auto job = Submit(16'000 * 4);
  ASSERT_TRUE(job.ok()) << job.status().ToString();
  const auto ear = Listen(job->id);
  const RenderInfo failed = ear->Await(RenderState::kFailed);
  EXPECT_EQ(failed.status.code(), Code::kResourceExhausted) << failed.status.ToString();
  EXPECT_THAT(failed.status.message(), HasSubstr("renders.disk_mb"));
  EXPECT_EQ(FilesLeft(), 0u);
  EXPECT_EQ(jobs().folder().share()->used(), 0);
}

TEST_F(RenderJobsTest, AListenersFileStaysThoughItsRoomIsNeeded) {
  options_.disk_bytes = 100'000;
  const auto job = Submit(1000);
  ASSERT_TRUE(job.ok());
  const auto ear = Listen(job->id);
  ear->Await(RenderState::kDone);
  ASSERT_TRUE(ear->file() != nullptr);
  const auto upload = *UploadFile::Create(jobs().folder());
  EXPECT_EQ(upload->Append(std::string(100'000, 'x')).code(), Code::kResourceExhausted);
  EXPECT_TRUE(std::filesystem::exists(ear->file()->path()));
}

TEST_F(RenderJobsTest, OnlyTheNewestOfWhatEndedAreKnown) {
  options_.ended = 2;
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(Rendered(1000).id);
  const auto list = jobs().List();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].id, ids[2]);
  EXPECT_EQ(list[1].id, ids[3]);
  EXPECT_EQ(FilesLeft(), 2u);
}

TEST_F(RenderJobsTest, IdsAre128BitsThatDoNotRepeat) {
  std::set<std::string> ids;
  for (int i = 0; i < 50; ++i) {
    const auto job = Submit(0);
    ASSERT_TRUE(job.ok()) << job.status().ToString();
    EXPECT_THAT(job->id, testing::MatchesRegex("[0-9a-f]{32}"));
    ids.insert(job->id);
  }
  EXPECT_EQ(ids.size(), 50u);
  EXPECT_EQ(jobs().Get(*ids.begin() + "0").status().code(), Code::kNotFound);
}

TEST_F(RenderJobsTest, DrainedItTakesNoMoreAndFinishesWhatItHas) {
  HoldTheWorkers();
  const auto job = Submit(1000);
  ASSERT_TRUE(job.ok());
  jobs().Drain();
  EXPECT_EQ(Submit(1000).status().code(), Code::kUnavailable);
  EXPECT_EQ(jobs().active(), 1);
  gate_.Open();
  Listen(job->id)->Await(RenderState::kDone);
  EXPECT_EQ(jobs().active(), 0);
}

TEST_F(RenderJobsTest, ItsEndCancelsWhatRunsAndLeavesNoFile) {
  Rendered(1000);
  HoldTheWorkers();
  const auto job = Submit(16'000 * 600);
  ASSERT_TRUE(job.ok());
  const auto ear = Listen(job->id);
  ear->Await(RenderState::kRunning);
  std::thread ending([&] { jobs_.reset(); });
  gate_.Open();
  ending.join();
  EXPECT_EQ(ear->Await(RenderState::kCancelled).status.code(), Code::kUnavailable);
  EXPECT_EQ(FilesLeft(), 0u);
}

}  // namespace
}  // namespace lipcast::server
