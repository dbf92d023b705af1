#include "lipcast/pipeline/render_to_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

using inference::Gate;
using testing::ElementsAre;
using testing::HasSubstr;

/// Sound from memory in pieces, which may end in a failure.
class MemoryReader final : public audio::AudioReader {
 public:
  explicit MemoryReader(std::vector<std::byte> bytes, Status end = {})
      : bytes_(std::move(bytes)), end_(std::move(end)) {}
  const audio::AudioFormat& format() const override { return format_; }
  std::optional<int64_t> total_samples() const override {
    return static_cast<int64_t>(bytes_.size() / 2);
  }
  std::string description() const override { return "memory"; }
  Result<size_t> Read(std::span<std::byte> out) override {
    const size_t take = std::min<size_t>({out.size(), 3000, bytes_.size() - at_});
    if (take == 0 && !end_.ok()) return end_;
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at_), take, out.begin());
    at_ += take;
    return take;
  }
  const std::vector<std::string>& warnings() const override { return warnings_; }

  std::vector<std::string> warnings_;

 private:
  const audio::AudioFormat format_;
  const std::vector<std::byte> bytes_;
  const Status end_;
  size_t at_ = 0;
};

class MemorySink final : public media::VideoSink {
 public:
  PixelFormat wanted_format() const override { return PixelFormat::kI420; }
  Status WriteFrame(const PictureView& picture) override {
    hashes_.push_back(HashOf(picture));
    return hashes_.size() == full_at_ ? Status(Code::kResourceExhausted, "disk full") : Status();
  }
  Status WriteAudio(std::span<const std::byte> pcm) override {
    sound_.insert(sound_.end(), pcm.begin(), pcm.end());
    return {};
  }
  int64_t bytes_written() const override { return static_cast<int64_t>(sound_.size()); }
  Result<media::SinkReport> Finish() override {
    finished_ = true;
    media::SinkReport report;
    report.frames = static_cast<int64_t>(hashes_.size());
    report.notes = {"padded"};
    return report;
  }

  size_t full_at_ = 0;
  std::vector<uint64_t> hashes_;
  std::vector<std::byte> sound_;
  bool finished_ = false;
};

class RenderToSinkTest : public testing::Test {
 protected:
  RenderOutcome Run(MemoryReader& reader, RenderTask task = {}) {
    session_ = stage_.Open(avatar_);
    task.reader = &reader;
    task.session = session_.get();
    task.sink = &sink_;
    return RenderToSink(task);
  }

  TestStage stage_;
  std::shared_ptr<const LoadedAvatar> avatar_ = stage_.Load();
  std::unique_ptr<Session> session_;
  MemorySink sink_;
  Watchdog watchdog_;
};

TEST_F(RenderToSinkTest, WritesEveryFrameOfTheSessionWithItsSound) {
  const auto speech = Speech(16'100);
  const Played played = Play(*stage_.Open(avatar_), speech);
  MemoryReader reader(speech);
  reader.warnings_ = {"header odd"};
  std::vector<int64_t> frames;
  std::optional<int64_t> first_total;
  RenderTask task;
  task.on_progress = [&](int64_t done, std::optional<int64_t> total) {
    frames.push_back(done);
    if (!first_total) first_total = total;
  };
  const RenderOutcome outcome = Run(reader, task);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  EXPECT_EQ(sink_.hashes_, played.hashes());
  EXPECT_TRUE(sink_.sound_ == speech);
  EXPECT_TRUE(sink_.finished_);
  EXPECT_FALSE(outcome.stopped);
  EXPECT_EQ(outcome.sink.frames, 26);
  EXPECT_EQ(outcome.counts.frames, 26);
  EXPECT_GT(outcome.wall.count(), 0);
  EXPECT_EQ(first_total, 26) << "known from the reader before the end is read";
  ASSERT_EQ(frames.size(), 26u);
  EXPECT_EQ(frames.back(), 26);
  EXPECT_THAT(outcome.warnings, ElementsAre("header odd", "padded"));
}

TEST_F(RenderToSinkTest, NoSoundIsAFinishedFileWithoutFrames) {
  MemoryReader reader({});
  const RenderOutcome outcome = Run(reader);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  EXPECT_TRUE(sink_.finished_);
  EXPECT_EQ(outcome.sink.frames, 0);
}

TEST_F(RenderToSinkTest, AReaderThatFailsEndsItWithItsStatusAndNoFile) {
  MemoryReader reader(Speech(4000), Status(Code::kDataLoss, "torn at byte 8000"));
  const RenderOutcome outcome = Run(reader);
  EXPECT_EQ(outcome.status.code(), Code::kDataLoss);
  EXPECT_EQ(outcome.failed, RenderPart::kSound);
  EXPECT_FALSE(sink_.finished_);
}

TEST_F(RenderToSinkTest, ASinkThatFailsEndsItThoughTheReaderHasMore) {
  MemoryReader reader(Speech(16'000 * 20));
  sink_.full_at_ = 3;
  const RenderOutcome outcome = Run(reader);
  EXPECT_EQ(outcome.status.message(), "disk full");
  EXPECT_EQ(outcome.failed, RenderPart::kSink);
  EXPECT_EQ(sink_.hashes_.size(), 3u);
}

TEST_F(RenderToSinkTest, ANetworkThatFailsIsTheSessions) {
  TestStage stage({.generator = FailingGenerator(Status(Code::kInternal, "no kernel"))});
  const auto session = stage.Open(stage.Load());
  MemoryReader reader(Speech(16'000));
  RenderTask task;
  task.reader = &reader;
  task.session = session.get();
  task.sink = &sink_;
  const RenderOutcome outcome = RenderToSink(task);
  EXPECT_THAT(outcome.status.message(), HasSubstr("no kernel"));
  EXPECT_EQ(outcome.failed, RenderPart::kSession);
}

TEST_F(RenderToSinkTest, StoppedItFinishesTheFileWithWhatIsInIt) {
  MemoryReader reader(Speech(16'000 * 20));
  RenderTask task;
  task.stopped = [&] { return sink_.hashes_.size() == 5; };
  const RenderOutcome outcome = Run(reader, task);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  EXPECT_TRUE(outcome.stopped);
  EXPECT_TRUE(sink_.finished_);
  EXPECT_EQ(sink_.hashes_.size(), 5u);
}

TEST_F(RenderToSinkTest, CancelledItEndsWithThatStatusAndNoFile) {
  MemoryReader reader(Speech(16'000 * 20));
  RenderTask task;
  task.on_frame = [&](const Frame& frame) {
    if (frame.index == 4) session_->Cancel(Status(Code::kCancelled, "no longer wanted"));
  };
  const RenderOutcome outcome = Run(reader, task);
  EXPECT_EQ(outcome.status.message(), "no longer wanted");
  EXPECT_FALSE(sink_.finished_);
}

TEST_F(RenderToSinkTest, AWaitForSoundIsEndedWhenTheRenderIs) {
  MemoryReader reader(Speech(16'000 * 20));
  Gate gate;
  gate.Close();
  RenderTask task;
  task.may_read = [&, reads = 0]() mutable {
    if (++reads > 30) gate.Pass();
    return reads <= 30;
  };
  task.stop_waiting = [&] { gate.Open(); };
  sink_.full_at_ = 2;
  EXPECT_EQ(Run(reader, task).failed, RenderPart::kSink);
}

TEST_F(RenderToSinkTest, TheSinkIsOpenedWithWhatSessionAvatarAndReaderSay) {
  const MemoryReader reader(Speech(1234));
  SessionOptions options;
  media::SinkOptions sink = SinkOptionsFor(options, *avatar_, reader);
  EXPECT_EQ(sink.width, 64);
  EXPECT_EQ(sink.height, 48);
  EXPECT_EQ(sink.fps, (Rational{25, 1}));
  EXPECT_EQ(sink.audio_samples, 1234);
  EXPECT_EQ(sink.audio->rate_hz, 16'000);
  options.fps = Rational{30, 1};
  options.width = 32;
  options.height = 20;
  sink = SinkOptionsFor(options, *avatar_, reader);
  EXPECT_EQ(sink.width, 32);
  EXPECT_EQ(sink.height, 20);
  EXPECT_EQ(sink.fps, (Rational{30, 1}));
}

TEST_F(RenderToSinkTest, WhatACallbackThrowsFailsTheRenderAndEndsItsThread) {
  MemoryReader reader(Speech(16'000 * 60));  // the feeder is still at it
  RenderTask task;
  task.on_frame = [](const Frame&) { throw std::runtime_error("oh"); };
  const RenderOutcome outcome = Run(reader, task);
  EXPECT_EQ(outcome.status.code(), Code::kInternal);
  EXPECT_THAT(outcome.status.message(), HasSubstr("oh"));
  EXPECT_EQ(outcome.failed, RenderPart::kSession);
  EXPECT_FALSE(sink_.finished_);
}

}  // namespace
}  // namespace lipcast::pipeline
