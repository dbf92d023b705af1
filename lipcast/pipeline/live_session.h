#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lipcast/base/clock.h"
#include "lipcast/pipeline/session.h"

namespace lipcast::pipeline {

struct LiveOptions {
  int ahead = 4;  ///< frames drawn before they are due, 1..25: what a slow frame may cost
  double max_waiting_s = 120;  ///< audio held that is not yet on the stream
};

struct LiveCounts {
  int64_t late = 0;           ///< frames that were not drawn when due
  int64_t stalls = 0;         ///< times that no frame was drawn for a second
  int64_t underruns = 0;      ///< times that an utterance ran out of audio before its end
  int64_t skipped = 0;        ///< frames never shown because the program stood still
  int64_t dropped_bytes = 0;  ///< audio of cleared utterances that came after
};

/// A stream in real time: frame i is due at start + i / fps and leaves then, with its sound, drawn
/// or not. Frame 0 has none before it: for up to 2 s `start` moves until it is drawn. While nobody
/// speaks there is silence, at no inference. An utterance begins once enough of it is there to draw
/// from (0.7 s, or its end), and so it goes on after it ran dry.
/// Events:  as Session's. Frame::utterance is 0 in silence; Frame::drawn false means: show the
///          picture before. Started and finished come once for every utterance, cleared ones too.
///          A second without a drawn frame is a warning, and so is the first picture after it.
/// Sound:   frame i has FirstSample(i + 1) - FirstSample(i) samples, always.
/// Memory:  max_waiting_s of audio in 64 utterances, and the Session's. TryAudio takes less, or
///          nothing, when that is full.
/// Thread:  one call at a time. SessionOptions::wake says when to call TryNext though nothing is
///          due; usually next_due is soon enough.
class LiveSession {
 public:
  /// A `start` a little ahead gives frame 0 the time that the others have.
  static Result<std::unique_ptr<LiveSession>> Create(Engine& engine,
                                                     std::shared_ptr<const LoadedAvatar> avatar,
                                                     const SessionOptions& options,
                                                     const LiveOptions& live, TimePoint start);

  /// As Session's. kInvalidArgument and kFailedPrecondition likewise.
  Result<size_t> TryAudio(uint64_t utterance, std::span<const std::byte> bytes);
  Result<bool> TryEnd(uint64_t utterance);  ///< false: no room for another utterance yet
  /// No more utterances: the stream ends when the last one is played.
  void Close() { closing_ = true; }
  Result<ClearPoint> Clear();
  void Cancel(Status why) { session_->Cancel(std::move(why)); }

  /// When the next frame leaves.
  TimePoint next_due() const;
  /// Call until kLater, from next_due on.
  Result<Poll> TryNext(TimePoint now, Event* event);

  bool speaking() const { return !utterances_.empty(); }
  double max_waiting_s() const { return live_.max_waiting_s; }
  LiveCounts counts() const { return counts_; }
  const Session& session() const { return *session_; }
  StageTimes& times() { return session_->times(); }

 private:
  /// What a client said, until its finished has left.
  struct Utterance {
    uint64_t id = 0;
    std::vector<std::byte> waiting;  // from waiting_at on: not yet given to the session
    size_t waiting_at = 0;
    bool ended = false;    // by the client, or cut
    bool running = false;  // its newest segment is open
    bool fed = false;      // nothing of it will follow
    bool cleared = false;
    bool cut_short = false;      // cleared before all of it was fed
    bool started = false;        // told
    int segments = 0;            // whose finished has not come
    int64_t played_samples = 0;  // of the finished ones
    size_t waiting_bytes() const { return waiting.size() - waiting_at; }
  };
  /// A piece of the session's timeline: one run of an utterance, or of silence.
  struct Segment {
    uint64_t id = 0;         // the session's
    uint64_t utterance = 0;  // the client's; 0: silence
    int64_t first_frame = 0;
    int64_t samples = 0;
  };

  LiveSession(const SessionOptions& options, const LiveOptions& live, TimePoint start);

  int64_t SampleOf(int64_t frame) const;
  int64_t frame_bytes() const { return options_.format.frame_bytes(); }
  Status Feed();
  Utterance* NextToFeed();
  Result<bool> Playable(Utterance& utterance);
  Result<bool> FeedUtterance(Utterance& utterance, int64_t target);
  Result<bool> FeedSilence(int64_t target);
  Status BeginSegment(uint64_t utterance);
  int64_t FramesToDrawIn() const;
  void SkipLostTime(TimePoint now);
  void WaitAFrame();
  Utterance* Find(uint64_t id);
  bool TakeCleared(Event* event);
  void WatchPictures(bool drawn);
  bool Translate(Event* event);
  bool TranslateFinished(Event* event);

  const SessionOptions options_;
  const LiveOptions live_;
  std::unique_ptr<Session> session_;
  TimePoint start_;
  const TimePoint begin_by_;
  int ahead_ = 1;
  int64_t next_index_ = 0;
  int64_t undrawn_ = 0;  // frames in a row, up to now
  std::deque<Utterance> utterances_;
  std::deque<Segment> segments_;
  std::deque<Event> notices_;
  std::vector<std::byte> silence_;
  uint64_t next_segment_ = 1;
  bool silent_ = false;  // the newest segment is silence, and open
  uint64_t last_id_ = 0, cleared_up_to_ = 0;
  size_t waiting_bytes_ = 0;
  bool closing_ = false, finished_ = false;
  LiveCounts counts_;
};

}  // namespace lipcast::pipeline
