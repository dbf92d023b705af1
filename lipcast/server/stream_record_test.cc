#include "lipcast/server/stream_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "lipcast/server/prometheus_metrics.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class StreamRecordTest : public testing::Test {
 protected:
  std::unique_ptr<StreamRecord> Open(int fps = 25, bool live = true) {
    return std::make_unique<StreamRecord>(
        records_, StreamRecord::Facts{"anna", "grpc", live, Rational{fps, 1}, 16'000, 2, 64, 48});
  }
  pipeline::Frame FrameOf(int64_t index, int fps = 25, uint64_t utterance = 1) {
    pipeline::Frame frame;
    frame.index = index;
    frame.utterance = utterance;
    frame.sound = std::span(sound_).first(static_cast<size_t>(2 * 16'000 / fps));
    return frame;
  }
  /// A second's frames, taken and sent as they are due.
  void PlaySecond(StreamRecord& record, int fps, int64_t second, int late = 0) {
    for (int i = 0; i < fps; ++i) {
      pipeline::Frame frame = FrameOf(second * fps + i, fps);
      frame.drawn = i >= late;
      record.TookFrame(frame, clock_.Now(), 0);
      record.Sent(!frame.drawn, nullptr, 0);
    }
  }
  double Value(const std::string& series) {
    records_.Sample();
    std::istringstream lines(metrics_.Render());
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("lipcast_" + series + " ")) {
        return std::stod(line.substr(series.size() + 9));
      }
    }
    return -1;
  }

  FakeClock clock_;
  MemoryLogSink log_;
  PrometheusMetrics metrics_;
  StreamRecords records_{{&metrics_, &log_, &clock_, nullptr}};
  const std::vector<std::byte> sound_{2 * 16'000};
};

TEST_F(StreamRecordTest, CountsSessionsByState) {
  const auto one = Open();
  auto two = Open();
  two->TookFrame(FrameOf(0), clock_.Now(), 0);
  const StreamRecords::Opening third(records_);
  EXPECT_EQ(Value("sessions{state=\"opening\"}"), 1);
  EXPECT_EQ(Value("sessions{state=\"idle\"}"), 1);
  EXPECT_EQ(Value("sessions{state=\"speaking\"}"), 1);
  two->TookFrame(FrameOf(1, 25, 0), clock_.Now(), 0);
  EXPECT_EQ(Value("sessions{state=\"speaking\"}"), 0);
  two = nullptr;
  EXPECT_EQ(Value("sessions{state=\"idle\"}"), 1);
  EXPECT_EQ(Value("sessions_opened_total"), 2);
}

TEST_F(StreamRecordTest, FramesASecondAreThoseOfTheLastWindow) {
  const auto fast = Open(50);
  auto slow = Open(25);
  EXPECT_EQ(Value("frames_per_second"), -1) << "no window is over yet";
  for (int second = 0; second < 5; ++second) {
    PlaySecond(*fast, 50, second);
    PlaySecond(*slow, 25, second, 5);
    clock_.Advance(std::chrono::seconds(1));
  }
  EXPECT_DOUBLE_EQ(Value("frames_per_second"), 75);
  EXPECT_DOUBLE_EQ(Value("target_frames_per_second"), 75);
  EXPECT_DOUBLE_EQ(Value("slowest_session_ratio"), 0.8) << "5 of 25 came late";
  EXPECT_EQ(Value("frames_late_total"), 25);
  // One leaves after a second; what it sent and what it wanted still counts.
  PlaySecond(*fast, 50, 5);
  PlaySecond(*slow, 25, 5);
  clock_.Advance(std::chrono::seconds(1));
  slow = nullptr;
  clock_.Advance(std::chrono::seconds(4));
  EXPECT_DOUBLE_EQ(Value("frames_per_second"), 15);
  EXPECT_DOUBLE_EQ(Value("target_frames_per_second"), 55);
  EXPECT_DOUBLE_EQ(Value("slowest_session_ratio"), 0.2);
}

TEST_F(StreamRecordTest, AStreamAtFilePaceHasNoTarget) {
  const auto file = Open(25, false);
  PlaySecond(*file, 25, 0);
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(Value("target_frames_per_second"), 0);
  EXPECT_EQ(Value("frames_per_second"), 0);
  EXPECT_EQ(Value("slowest_session_ratio"), 1);
  EXPECT_EQ(Value("frames_total"), 25);
}

TEST_F(StreamRecordTest, SkewIsHowOldThePictureIsWhileTheSoundGoesOn) {
  const auto record = Open();
  PlaySecond(*record, 25, 0);
  EXPECT_EQ(Value("av_skew_seconds"), 0);
  for (int i = 25; i < 30; ++i) {
    pipeline::Frame frame = FrameOf(i);
    frame.drawn = false;
    record->TookFrame(frame, clock_.Now(), 0);
    record->Sent(true, nullptr, 0);
  }
  EXPECT_DOUBLE_EQ(Value("av_skew_seconds"), 0.2);
  record->TookFrame(FrameOf(30), clock_.Now(), 0);
  record->Sent(false, nullptr, 0);
  EXPECT_EQ(Value("av_skew_seconds"), 0);
}

TEST_F(StreamRecordTest, SoundThatIsNotItsFramesOwnIsSkew) {
  const auto record = Open();
  pipeline::Frame frame = FrameOf(0);
  frame.sound = frame.sound.first(frame.sound.size() / 2);
  record->TookFrame(frame, clock_.Now(), 0);
  EXPECT_DOUBLE_EQ(Value("av_skew_seconds"), 0.02);
}

TEST_F(StreamRecordTest, SoundIsCountedInWholeSecondsAndNothingIsLost) {
  const auto one = Open(), two = Open();
  for (int i = 0; i < 100; ++i) {  // 37 ms a piece
    one->TookAudio(1, 1184, clock_.Now());
    two->TookAudio(1, 1184, clock_.Now());
  }
  EXPECT_EQ(Value("audio_seconds_total"), 7);  // 7.4
}

TEST_F(StreamRecordTest, TheFirstFrameOfEachUtteranceIsTimedFromItsFirstSound) {
  const auto record = Open();
  const TimePoint start = clock_.Now();
  record->TookAudio(1, 640, start);
  clock_.Advance(milliseconds(300));
  record->TookAudio(1, 640, clock_.Now());
  record->TookFrame(FrameOf(0, 25, 0), clock_.Now(), 0);
  EXPECT_EQ(Value("first_frame_seconds_count"), -1) << "silence is not its frame";
  clock_.Advance(milliseconds(200));
  record->TookFrame(FrameOf(1), clock_.Now(), 0);
  record->TookFrame(FrameOf(2), clock_.Now(), 0);
  EXPECT_EQ(Value("first_frame_seconds_count"), 1);
  EXPECT_DOUBLE_EQ(Value("first_frame_seconds_sum"), 0.5);
}

TEST_F(StreamRecordTest, TheDeepestQueueOfEventsIsTold) {
  const auto one = Open(), two = Open();
  one->TookFrame(FrameOf(0), clock_.Now(), 6);
  two->TookFrame(FrameOf(0), clock_.Now(), 2);
  EXPECT_EQ(Value("queue_depth{queue=\"events\"}"), 7);
  one->Sent(false, nullptr, 1);
  EXPECT_EQ(Value("queue_depth{queue=\"events\"}"), 3);
}

TEST_F(StreamRecordTest, ASessionsLinesNameItAndSayWhatItWas) {
  std::string id;
  {
    const auto record = Open();
    id = record->id();
    PlaySecond(*record, 25, 0, 2);
    record->Cleared({7, 16'000}, "barge in\n" + std::string(500, 'x'), 3, clock_.Now());
    record->LeftOut(true, 60);
    record->LeftOut(true, 61);
    clock_.Advance(milliseconds(1500));
    for (int i = 25; i < 29; ++i) record->TookFrame(FrameOf(i), clock_.Now(), 0);
    record->Closed(Status(Code::kCancelled, "the client left"), 4);
  }
  const auto lines = log_.lines();
  ASSERT_THAT(lines, SizeIs(4)) << "one of a slow reader, however often it is";
  for (const std::string& line : lines) EXPECT_THAT(line, HasSubstr(" session=" + id + " "));
  EXPECT_THAT(lines[0],
              AllOf(HasSubstr("info session_opened"), HasSubstr("avatar=anna interface=grpc")));
  EXPECT_THAT(lines[1], AllOf(HasSubstr("info speech_cleared"), HasSubstr("utterance=7"),
                              HasSubstr("played_samples=16000"), HasSubstr("barge in")));
  EXPECT_LT(lines[1].size(), 400U) << "a client's words do not fill the log";
  EXPECT_THAT(lines[2], HasSubstr("warning reader_slow"));
  EXPECT_THAT(lines[3], AllOf(HasSubstr("code=CANCELLED why=\"the client left\" frames=29"),
                              HasSubstr("late=2 dropped=9 seconds=1.500")));
  EXPECT_EQ(Value("frames_dropped_total{reason=\"cleared\"}"), 3);
  EXPECT_EQ(Value("frames_dropped_total{reason=\"slow_reader\"}"), 2);
  EXPECT_EQ(Value("frames_dropped_total{reason=\"ended\"}"), 4);
}

TEST_F(StreamRecordTest, ARefusalNamesAvatarInterfaceAndReason) {
  records_.Refused("anna", "websocket", Status(Code::kResourceExhausted, "full"));
  EXPECT_THAT(log_.lines(), ElementsAre("warning session_refused avatar=anna interface=websocket "
                                        "code=RESOURCE_EXHAUSTED why=full"));
  EXPECT_EQ(Value("requests_total{code=\"RESOURCE_EXHAUSTED\",interface=\"websocket\","
                  "method=\"speak\"}"),
            1);
  for (const Code code : {Code::kInvalidArgument, Code::kNotFound, Code::kDataLoss}) {
    records_.Refused("anna", "grpc", Status(code, "no"));
  }
  records_.Refused("anna", "grpc", refusal::Draining());
  for (const std::string_view reason :
       {refusal::kFilePace, refusal::kHeadroom, refusal::kLimit, refusal::kMemory}) {
    records_.Refused("anna", "grpc", refusal::Exhausted(reason, "no"));
  }
  for (const char* reason :
       {"draining", "invalid", "not_found", "file_pace", "headroom", "limit", "memory"}) {
    EXPECT_EQ(Value(std::string("sessions_refused_total{reason=\"") + reason + "\"}"), 1) << reason;
  }
  EXPECT_EQ(Value("sessions_refused_total{reason=\"failed\"}"), 2);
}

TEST_F(StreamRecordTest, IdsDifferBetweenStreamsAndBetweenRuns) {
  StreamRecords other({&metrics_, &log_, &clock_, nullptr});
  const auto a = Open(), b = Open();
  const StreamRecord c(other, {"anna", "grpc", true, Rational{25, 1}, 16'000, 2, 64, 48});
  EXPECT_NE(a->id(), b->id());
  EXPECT_NE(a->id(), c.id());
}

}  // namespace
}  // namespace lipcast::server
