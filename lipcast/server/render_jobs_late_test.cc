#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "lipcast/server/render_jobs.h"
#include "lipcast/server/test_stand.h"

namespace lipcast::server {
namespace {

constexpr int64_t kTenMinutes = 600;

/// Ten minutes of sound, asked for every 100 ms of a clock that only the test moves.
TEST(RenderJobsOfTenMinutes, ProgressRisesToItsEndAndTheFileIsThereAnHourLater) {
  pipeline::Watchdog watchdog;
  TestStand stand;
  FakeClock clock;
  TempFolder folder;
  RenderJobsOptions options;
  options.folder = folder.path();
  options.keep = std::chrono::hours(2);
  const auto jobs = *RenderJobs::Create(
      options, {&stand.stage_.engine(), &stand.registry_, &stand.metrics_, &stand.log_, &clock});
  const auto uploads = *UploadFolder::Create(folder.path());
  RenderSound sound;
  sound.file = *UploadFile::Create(*uploads);
  sound.raw = {8'000, 1, audio::SampleType::kS16};
  const auto pcm = pipeline::Speech(kTenMinutes * 8'000);
  ASSERT_TRUE(sound.file->Append({reinterpret_cast<const char*>(pcm.data()), pcm.size()}).ok());
  RenderSpec spec{.avatar = "1", .session = {}};
  spec.session.fps = Rational{5, 1};
  const auto job = jobs->Submit(spec, std::move(sound));
  ASSERT_TRUE(job.ok()) << job.status().ToString();

  std::set<int64_t> seen;
  int64_t before = 0;
  RenderInfo info = *job;
  while (!IsOver(info.state)) {
    clock.Advance(std::chrono::milliseconds(100));
    std::this_thread::yield();
    info = *jobs->Get(job->id);
    ASSERT_GE(info.frames, before);
    before = info.frames;
    seen.insert(info.frames);
    EXPECT_EQ(info.total_frames.value_or(kTenMinutes * 5), kTenMinutes * 5);
  }
  EXPECT_EQ(info.state, RenderState::kDone) << info.status.ToString();
  EXPECT_EQ(info.frames, kTenMinutes * 5);
  EXPECT_EQ(info.total_frames, kTenMinutes * 5);
  EXPECT_GT(seen.size(), 100U) << "progress was seen in so few steps";

  clock.Advance(std::chrono::hours(1));
  jobs->Tidy();
  const auto file = jobs->File(job->id);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ(static_cast<int64_t>(std::filesystem::file_size((*file)->path())), info.bytes);
  EXPECT_EQ(jobs->Get(job->id)->frames, kTenMinutes * 5);
  clock.Advance(std::chrono::hours(1));
  jobs->Tidy();
  EXPECT_EQ(jobs->Get(job->id).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace lipcast::server
