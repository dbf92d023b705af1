#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "lipcast/pipeline/live_session.h"
#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int64_t kSecond = 16000;
constexpr double kFrameSeconds = 0.04;

/// One worker whose model takes a set time on a clock that only this moves: what happens when is
/// computed, and the same in every run. All but the model takes no time.
class Simulation {
 public:
  explicit Simulation(Nanoseconds model_time)
      : model_time_(model_time),
        stage_({.workers = 1, .generator = Stopping(DetailGenerator()), .clock = &clock_}),
        avatar_(stage_.Load()) {
    const std::lock_guard lock(mu_);
    armed_ = true;
  }
  ~Simulation() {
    {
      const std::lock_guard lock(mu_);
      armed_ = false;
      granted_ = true;
      changed_.notify_all();
    }
    streams_.clear();
    render_.reset();
  }

  void OpenLive(const SessionOptions& options = {}) {
    const TimePoint start = clock_.Now() + milliseconds(100);
    auto stream = LiveSession::Create(stage_.engine(), avatar_, options, {}, start);
    ASSERT_TRUE(stream.ok()) << stream.status().ToString();
    streams_.push_back({*std::move(stream), {}, 0});
    Settle();
  }
  void SayEverywhere(const std::vector<std::byte>& bytes) {
    ++utterance_;
    for (Stream& one : streams_) {
      ASSERT_EQ(*one.live->TryAudio(utterance_, bytes), bytes.size());
      ASSERT_TRUE(*one.live->TryEnd(utterance_));
    }
    Settle();
  }
  /// The next run of the model takes so long.
  void StallOnce(Nanoseconds time) { stall_ = time; }
  /// As much as it can be read, behind the live streams.
  void OpenRender() {
    SessionOptions options;
    options.yields = true;
    render_ = stage_.Open(avatar_, options);
  }
  void ReadRender() {
    if (!render_) return;
    static const std::vector<std::byte> sound = Speech(4 * kSecond, 7);
    Event event;
    while (*render_->TryNext(&event) == Poll::kEvent) {
      if (event.kind == Event::Kind::kFrame) ++rendered_;
    }
    ASSERT_TRUE(render_->TryAudio(1, sound).ok());
    Settle();
  }

  /// Lets so much time pass.
  void Run(Nanoseconds time) {
    const TimePoint end = clock_.Now() + time;
    while (true) {
      Stream* next = nullptr;
      for (Stream& one : streams_) {
        if (next == nullptr || one.live->next_due() < next->live->next_due()) next = &one;
      }
      const TimePoint due = next->live->next_due();
      if (done_at_ && *done_at_ <= std::min(due, end)) {
        MoveTo(*done_at_);
        Grant();
        Settle();
      } else if (due <= end) {
        MoveTo(due);
        Take(*next);
        Settle();
      } else {
        MoveTo(end);
        return;
      }
    }
  }

  int64_t late() const {
    int64_t late = 0;
    for (const Stream& one : streams_) late += static_cast<int64_t>(one.late.size());
    return late;
  }
  int64_t spoken() const {
    int64_t spoken = 0;
    for (const Stream& one : streams_) spoken += one.spoken;
    return spoken;
  }
  int64_t rendered() const { return rendered_; }

 private:
  struct Stream {
    std::unique_ptr<LiveSession> live;
    std::vector<int64_t> late;
    int64_t spoken = 0;
  };

  inference::FakeModel Stopping(inference::FakeModel model) {
    model.run = [this, run = model.run](int64_t batch, auto inputs, auto outputs) {
      Stop();
      return run(batch, inputs, outputs);
    };
    return model;
  }
  /// On the worker: waits to be granted its time.
  void Stop() {
    std::unique_lock lock(mu_);
    if (!armed_) return;
    stopped_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return granted_; });
    granted_ = !armed_;  // at the end all pass
  }
  void Grant() {
    const std::lock_guard lock(mu_);
    stopped_ = false;
    granted_ = true;
    done_at_.reset();
    changed_.notify_all();
  }
  /// Returns when the worker is at the model or has nothing to do.
  void Settle() {
    bool post = false;
    {
      const std::lock_guard lock(mu_);
      idle_ = false;
      post = !std::exchange(posted_, true);
    }
    if (post) {  // the last of all deadlines
      stage_.engine().executor().Post(TimePoint::max(), [this](int) {
        const std::lock_guard lock(mu_);
        posted_ = false;
        idle_ = true;
        changed_.notify_all();
      });
    }
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return stopped_ || idle_; });
    if (stopped_ && !done_at_) {
      done_at_ = clock_.Now() + stall_.value_or(model_time_);
      stall_.reset();
    }
  }
  void MoveTo(TimePoint time) { clock_.Advance(time - clock_.Now()); }
  void Take(Stream& one) {
    Event event;
    while (true) {
      const auto poll = one.live->TryNext(clock_.Now(), &event);
      ASSERT_TRUE(poll.ok()) << poll.status().ToString();
      if (*poll != Poll::kEvent) return;
      if (event.kind != Event::Kind::kFrame) continue;
      if (event.frame.speaking) ++one.spoken;
      if (!event.frame.drawn) one.late.push_back(event.frame.index);
    }
  }

  const Watchdog watchdog_;
  const Nanoseconds model_time_;
  FakeClock clock_;
  std::mutex mu_;
  std::condition_variable changed_;
  bool armed_ = false, stopped_ = false, granted_ = false;  // guarded by mu_
  bool idle_ = false, posted_ = false;                      // guarded by mu_
  std::optional<TimePoint> done_at_;                        // when the model's time is over
  std::optional<Nanoseconds> stall_;
  uint64_t utterance_ = 0;
  TestStage stage_;
  std::shared_ptr<const LoadedAvatar> avatar_;
  std::vector<Stream> streams_;
  std::unique_ptr<Session> render_;
  int64_t rendered_ = 0;
};

/// So that `streams` of 25 frames/s ask for that share of the worker.
Nanoseconds TimeFor(double share, int streams) {
  return std::chrono::duration_cast<Nanoseconds>(
      std::chrono::duration<double>(share * kFrameSeconds / streams));
}

class LiveSchedule : public testing::TestWithParam<int> {};

TEST_P(LiveSchedule, EveryFrameOfAdmittedStreamsIsInTimeThoughAllBeginAtOnce) {
  const int streams = GetParam();
  Simulation simulation(TimeFor(0.85, streams));
  for (int i = 0; i < streams; ++i) {
    simulation.OpenLive();
    simulation.Run(milliseconds(7));  // their frames are due at different times
  }
  simulation.SayEverywhere(Speech(3 * kSecond));
  simulation.Run(seconds(4));
  EXPECT_EQ(simulation.late(), 0);
  EXPECT_GE(simulation.spoken(), streams * 74);
}

TEST_P(LiveSchedule, OneThatJoinsAndARenderDoNotMakeTheOthersLate) {
  const int streams = GetParam();
  Simulation simulation(TimeFor(0.85, streams + 1));
  simulation.OpenRender();
  for (int i = 0; i < streams; ++i) {
    simulation.OpenLive();
    simulation.Run(milliseconds(7));
  }
  simulation.SayEverywhere(Speech(3 * kSecond));
  // Its reader is away and comes back: it has much to catch up with, and must not do it now.
  simulation.Run(seconds(1));
  simulation.OpenLive();
  for (int step = 0; step < 250; ++step) {
    simulation.ReadRender();
    simulation.Run(milliseconds(10));
  }
  EXPECT_EQ(simulation.late(), 0);
  EXPECT_GE(simulation.spoken(), streams * 74);
  EXPECT_GT(simulation.rendered(), 5) << "it gets what is left";
}

INSTANTIATE_TEST_SUITE_P(Streams, LiveSchedule, testing::Values(1, 2, 4, 8, 16, 32));

TEST(LiveScheduleControl, MoreThanTheWorkerHasTimeForAreLate) {
  Simulation simulation(TimeFor(1.3, 8));
  for (int i = 0; i < 8; ++i) simulation.OpenLive();
  simulation.SayEverywhere(Speech(3 * kSecond));
  simulation.Run(seconds(4));
  EXPECT_GT(simulation.late(), 20) << "or the tests above cannot fail";
}

TEST(LiveScheduleStall, AModelThatStallsOnceCostsItsOwnFramesAndNoMore) {
  Simulation simulation(milliseconds(5));
  SessionOptions options;
  options.fps = Rational{1, 1};  // twenty minutes, quick enough for a sanitizer
  simulation.OpenLive(options);
  const auto bytes = Speech(4 * kSecond);
  int64_t late = 0;
  for (int utterance = 1; utterance <= 120; ++utterance) {
    const int64_t before = simulation.spoken();
    const bool stalls = utterance == 60;
    if (stalls) simulation.StallOnce(seconds(8));
    simulation.SayEverywhere(bytes);
    simulation.Run(seconds(10));
    if (stalls) {
      late = simulation.late();
      EXPECT_GE(late, 2);
      EXPECT_LE(late, 10);
    } else {
      ASSERT_EQ(simulation.late(), late) << utterance;
      ASSERT_GE(simulation.spoken() - before, 3) << utterance;
    }
  }
}

}  // namespace
}  // namespace lipcast::pipeline
