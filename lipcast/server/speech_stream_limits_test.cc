// What a stream may hold, what is counted when it holds too much, and what one stream's fault costs
// the others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <new>
#include <stdexcept>
#include <string>

#include "lipcast/media/encoder_info.h"
#include "lipcast/server/stream_cost.h"
#include "lipcast/server/test_stand.h"

namespace lipcast::server {
namespace {

using pipeline::Speech;
using pipeline::Watchdog;
using testing::HasSubstr;
using testing::SizeIs;
using Kind = StreamEvent::Kind;

constexpr int64_t kSecond = 16'000;
constexpr size_t kUnreadBytes = 64 << 20;

int64_t Dropped(const TestStand& stand, const std::string& reason) {
  return stand.metrics_.count("frames_dropped_total{reason=\"" + reason + "\"}");
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kDrawsInTime = false;
#else
constexpr bool kDrawsInTime = true;
#endif
constexpr const char* kTooSlow =
    "under a sanitizer large pictures are drawn later than they are due, and a late frame "
    "has none";

StreamOptions Sized(StreamOptions options, int width, int height) {
  options.session.width = width;
  options.session.height = height;
  return options;
}

TEST(SpeechStreamLimits, ALiveReaderThatStopsLeaves64MiBOfPicturesAndGetsTheSoundWhole) {
  if (!kDrawsInTime) GTEST_SKIP() << kTooSlow;
  const Watchdog watchdog;
  TestStand stand;
  constexpr size_t kPicture = size_t{1600} * 1200 * 3;
  TestClient client(stand.Open(Sized(LivePace(), 1600, 1200)));
  while (Dropped(stand, "slow_reader") < 3) std::this_thread::yield();
  ASSERT_TRUE(client.Send(CloseNow()));
  client.ReadToTheEnd();
  EXPECT_TRUE(client.status().ok()) << client.status().ToString();
  const auto frames = client.Of(Kind::kFrame);
  size_t first = 0;  // what had piled up when the first picture was left out
  for (const StreamEvent& frame : frames) {
    EXPECT_EQ(frame.sound.size(), 1280U);
    first += frame.picture.size();
    if (first > kUnreadBytes) break;
  }
  EXPECT_GT(first, kUnreadBytes);
  EXPECT_LE(first, kUnreadBytes + kPicture);
  EXPECT_EQ(Dropped(stand, "slow_encoder"), 0);
}

TEST(SpeechStreamLimits, AtFilePaceAReaderIsWaitedForAt64MiB) {
  const Watchdog watchdog;
  TestStand stand(1);
  {
    TestClient client(stand.Open(Sized(FilePace(), 4000, 3000)));
    client.stream_->Push(AudioOf(1, Speech(5 * kSecond)));
    while (stand.metrics_.count("frames_total") < 2) std::this_thread::yield();
    for (int i = 0; i < 20; ++i) {  // whenever the workers have nothing else to do
      std::latch idle(1);
      stand.stage_.engine().executor().Post(TimePoint::max(), [&](int) { idle.count_down(); });
      idle.wait();
    }
    EXPECT_EQ(stand.metrics_.count("frames_total"), 2);  // 36 MB each
    client.stream_->Cancel(Status(Code::kCancelled, ""));
  }
  stand.WaitUntilAllAreGone();
}

TEST(SpeechStreamLimits, EveryFrameThatIsNotReadCountsOnce) {
  if (!kDrawsInTime) GTEST_SKIP() << kTooSlow;
  const Watchdog watchdog;
  TestStand stand;
  {
    TestClient client(stand.Open(Sized(LivePace(), 1600, 1200)));
    client.stream_->Push(AudioOf(1, Speech(20 * kSecond)));
    while (Dropped(stand, "slow_reader") < 10) std::this_thread::yield();
    client.stream_->Push(ClearAs(1));
    while (client.accepted() < 2) std::this_thread::yield();
    client.stream_->Cancel(Status(Code::kCancelled, "the client left"));
  }
  stand.WaitUntilAllAreGone();
  EXPECT_GT(Dropped(stand, "cleared"), 0);
  EXPECT_EQ(Dropped(stand, "slow_reader") + Dropped(stand, "cleared") + Dropped(stand, "ended"),
            stand.metrics_.count("frames_total"));
}

/// Hears by a function, on whichever thread.
class Hearing final : public StreamListener {
 public:
  explicit Hearing(std::function<void()> on_output) : on_output_(std::move(on_output)) {}
  void OnOutput() override { on_output_(); }
  void OnAccepted() override {}

 private:
  const std::function<void()> on_output_;
};

TEST(SpeechStreamLimits, AnEncoderThatStandsIsNotTheReadersFaultAndHoldsUpNoMoreThanItsPictures) {
  if (media::FindEncoders().h264_encoders.empty()) GTEST_SKIP() << "built without libav";
  const Watchdog watchdog;
  TestStand stand;
  StreamOptions options = LivePace();
  options.picture.codec = PictureCodec::kH264AnnexB;
  const auto stream = stand.Open(options);
  std::latch first(1), release(1);
  std::atomic<bool> blocked = false;
  // The first to call is the worker with the first picture, and the second picture waits for it.
  stream->Start(std::make_shared<Hearing>([&] {
    if (blocked.exchange(true)) return;
    first.count_down();
    release.wait();
  }));
  first.wait();
  int64_t frames = 0, pictures = 0;
  const auto read = [&] {
    StreamEvent event;
    while (stream->Pop(&event) == SpeechStream::Popped::kEvent) {
      if (event.kind != Kind::kFrame) continue;
      ++frames;
      pictures += event.picture.empty() ? 0 : 1;
    }
  };
  // From 2 s on they are left out; at 5 s those of the first two seconds are given up.
  while (Dropped(stand, "slow_encoder") < 100) {
    read();
    std::this_thread::yield();
  }
  EXPECT_LE(frames, 1);
  EXPECT_EQ(Dropped(stand, "slow_reader"), 0);
  release.count_down();
  while (frames < 120) read();
  const int64_t before = pictures;
  while (pictures < before + 10) read();
  EXPECT_TRUE(stream->status().ok()) << stream->status().ToString();
  stream->Cancel(Status(Code::kCancelled, ""));
}

TEST(SpeechStreamLimits, SoundBeyond64MiBWaitsAndTheClientIsTold) {
  const Watchdog watchdog;
  TestStand stand;
  StreamOptions options = LivePace();
  options.session.format = {
      .rate_hz = 96'000, .channels = 8, .type = audio::SampleType::kF32};  // 3 MB/s
  TestClient client(stand.Open(options));
  client.stream_->Push(AudioOf(1, pipeline::Silence(int64_t{90} << 19)));  // 90 MiB
  ASSERT_TRUE(client.ReadTo(Kind::kWarning));
  EXPECT_THAT(client.events_.back().message, HasSubstr("(22 s of sound, 64 utterances)"));
  EXPECT_EQ(client.accepted(), 0U);
  client.stream_->Cancel(Status(Code::kCancelled, ""));
}

TEST(SpeechStreamLimits, WhoHearsOfTheEndMayOpenTheNextOneAtOnce) {
  const Watchdog watchdog;
  TestStand stand;
  stand.admission_.SetMaxSessions(1);
  for (const bool cancelled : {false, true}) {
    TestClient client(stand.Open(LivePace()));  // not gone before the next one comes
    EXPECT_EQ(stand.host_->Open("1", LivePace()).status().code(), Code::kResourceExhausted);
    if (cancelled) {
      client.stream_->Cancel(Status(Code::kCancelled, ""));
    } else {
      ASSERT_TRUE(client.Send(CloseNow()));
    }
    client.ReadToTheEnd();
    TestClient next(stand.Open(LivePace()));
    next.stream_->Cancel(Status(Code::kCancelled, ""));
    next.ReadToTheEnd();
  }
}

TEST(SpeechStreamLimits, WhatIsThrownForOneStreamEndsItAndNoOther) {
  const Watchdog watchdog;
  TestStand stand;
  TestClient other(stand.Open(FilePace()));
  const auto stream = stand.Open(FilePace());
  std::atomic<bool> thrown = false;
  stream->Start(std::make_shared<Hearing>([&] {
    if (!thrown.exchange(true)) throw std::bad_alloc();
  }));
  stream->Push(AudioOf(1, Speech(kSecond)));
  while (stream->status().ok()) std::this_thread::yield();
  EXPECT_EQ(stream->status().ToString(), "RESOURCE_EXHAUSTED: out of memory");
  other.Play(Speech(kSecond / 4));
  EXPECT_EQ(stand.metrics_.count("escaped_exceptions_total"), 0);
}

TEST(SpeechStreamLimits, ALoadThatThrowsOpensNothing) {
  const Watchdog watchdog;
  TestStand stand;
  stand.on_load_ = [] { throw std::runtime_error("a bad day"); };
  const Status status = stand.host_->Open("1", LivePace()).status();
  EXPECT_EQ(status.code(), Code::kInternal) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("a bad day"));
  EXPECT_EQ(stand.admission_.report().sessions, 0);
}

TEST(StreamCost, AProbeDoesNotWaitForRenders) {
  const Watchdog watchdog;
  TestStand stand(1);
  Executor& executor = stand.stage_.engine().executor();
  std::atomic<int> left = 1'000'000;  // pictures of a render that began before
  std::latch over(1);
  const TimePoint due = stand.clock_.Now() + kBehindOthers;
  const std::function<void(int)> draw = [&](int) {
    if (--left > 0) {
      executor.Post(due, [&](int worker) { draw(worker); });
    } else {
      over.count_down();
    }
  };
  executor.Post(due, draw);
  const auto cost = ProbeAvatar(stand.stage_.engine(), stand.avatars_[0]);
  EXPECT_TRUE(cost.ok()) << cost.status().ToString();
  EXPECT_GT(left, 1);
  if (left.exchange(1) > 1) over.wait();
}

}  // namespace
}  // namespace lipcast::server
