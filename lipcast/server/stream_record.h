#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "lipcast/base/clock.h"
#include "lipcast/base/log.h"
#include "lipcast/base/metrics.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"
#include "lipcast/pipeline/session.h"
#include "lipcast/server/frame_trace.h"

namespace lipcast::server {

class StreamRecord;

/// What the streams of one host have done: their numbers, log lines and traces. Outlives them.
/// Thread: any.
class StreamRecords {
 public:
  struct Parts {
    Metrics* metrics = nullptr;
    LogSink* log = nullptr;
    const Clock* clock = nullptr;
    FrameTrace* trace = nullptr;  ///< null: none
  };
  /// Over how long frames a second are counted.
  static constexpr auto kWindow = std::chrono::seconds(5);

  explicit StreamRecords(const Parts& parts);

  /// An open under way, for as long as it lives.
  class Opening {
   public:
    explicit Opening(StreamRecords& records) : records_(records) { ++records_.opening_; }
    ~Opening() { --records_.opening_; }
    Opening(const Opening&) = delete;
    Opening& operator=(const Opening&) = delete;

   private:
    StreamRecords& records_;
  };

  /// Counts and logs it. kResourceExhausted was counted by who refused, by what is exhausted.
  void Refused(const std::string& avatar, std::string_view interface, const Status& why);
  /// Sets the gauges. Cheap; frames a second once kWindow has passed since it last set them.
  void Sample();

 private:
  friend class StreamRecord;

  std::string NextId();
  void CountRequest(std::string_view interface, const Status& why);
  void AddAudio(std::chrono::nanoseconds length);
  void Add(StreamRecord* record);
  void Remove(StreamRecord* record);
  void CloseWindow(TimePoint now);

  const Parts parts_;
  const uint32_t start_;  // random: ids of two runs differ
  std::atomic<uint64_t> next_id_ = 1;
  std::atomic<int> opening_ = 0;
  std::atomic<int64_t> audio_ns_ = 0;

  std::mutex mu_;
  std::set<StreamRecord*> open_;            // guarded by mu_
  TimePoint window_{};                      // guarded by mu_: when it began
  double gone_sent_ = 0, gone_wanted_ = 0;  // guarded by mu_: in the window, of streams that ended
};

/// One stream's: the stream says what happens, this counts, logs and traces it.
class StreamRecord {
 public:
  struct Facts {
    std::string avatar;
    std::string_view interface;  ///< "grpc", "websocket": a literal
    bool live = true;
    Rational fps;
    int rate_hz = 0;
    int64_t sample_bytes = 0;  ///< of all channels
    int width = 0, height = 0;
  };
  StreamRecord(StreamRecords& records, Facts facts);
  ~StreamRecord();
  StreamRecord(const StreamRecord&) = delete;
  StreamRecord& operator=(const StreamRecord&) = delete;

  const std::string& id() const { return id_; }
  // Any thread.
  int64_t opened_unix_s() const { return opened_unix_s_; }
  bool speaking() const { return speaking_; }  ///< its newest frame is of an utterance
  int64_t frames() const { return taken_; }    ///< so far

  // On the stream's loop.
  void TookAudio(uint64_t utterance, size_t bytes, TimePoint pushed);
  /// `muted`: frames that waited for the client and became silent repeats.
  void Cleared(const pipeline::ClearPoint& point, const std::string& reason, int muted,
               TimePoint pushed);
  /// `waiting`: frames and events before it. The steps are null where it is not traced.
  std::unique_ptr<FrameSteps> TookFrame(const pipeline::Frame& frame, TimePoint due,
                                        size_t waiting);
  /// A picture stays away: too much waits, for the `reader` or else for an encoder.
  void LeftOut(bool reader, size_t waiting);

  /// Steadily, `factor` times as fast as its format says; told once.
  void SoundAtAnotherRate(double factor);

  /// On a worker. `due` as given to TookFrame.
  void Encoded(const Status& status, TimePoint due);
  /// On the reader's thread: a frame goes out; `left` wait behind it.
  void Sent(bool repeated, FrameSteps* steps, size_t left);
  /// The last call. `unread`: frames that nobody read, but those that were counted as dropped.
  void Closed(const Status& why, int64_t unread);

 private:
  friend class StreamRecords;

  double SkewSeconds() const;
  LogSink& log() const { return *records_.parts_.log; }
  Metrics& metrics() const { return *records_.parts_.metrics; }
  TimePoint Now() const { return records_.parts_.clock->Now(); }

  StreamRecords& records_;
  const Facts facts_;
  const std::string id_;
  const TimePoint opened_;
  const int64_t opened_unix_s_;

  uint64_t heard_id_ = 0;         // the loop's: the utterance heard last
  TimePoint heard_{};             // the loop's: when its first sound came
  bool first_frame_due_ = false;  // the loop's
  bool told_slow_ = false;        // the loop's
  int64_t sound_samples_ = 0;     // the loop's: in the frames so far

  std::atomic<bool> speaking_ = false;
  std::atomic<size_t> waiting_ = 0;
  std::atomic<int64_t> taken_ = 0, in_time_ = 0, generated_ = 0, late_ = 0, dropped_ = 0;
  std::atomic<int64_t> sent_ = 0;
  std::atomic<int64_t> stale_ = 0;  // frames since the last one with a picture of its own
  std::atomic<int64_t> sound_off_samples_ = 0;  // sound before its frames, or behind them

  int64_t window_sent_ = 0, window_in_time_ = 0;  // guarded by the records' mu_
};

}  // namespace lipcast::server
