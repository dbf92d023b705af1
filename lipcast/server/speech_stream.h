#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lipcast/base/clock.h"
#include "lipcast/base/executor.h"
#include "lipcast/base/metrics.h"
#include "lipcast/pipeline/live_session.h"
#include "lipcast/pipeline/session.h"
#include "lipcast/server/admission.h"
#include "lipcast/server/avatar_registry.h"
#include "lipcast/server/event_loop.h"
#include "lipcast/server/work_meter.h"

namespace lipcast::server {

enum class PictureCodec { kJpeg, kPng, kRgba, kBgr, kI420 };
enum class SoundOut { kInput, kNone };

struct StreamOptions {
  pipeline::SessionOptions session;  ///< pixels and wake are set by the stream
  bool live = true;                  ///< a frame each 1/fps seconds; else as fast as it is read
  PictureCodec codec = PictureCodec::kJpeg;
  int jpeg_quality = 75;
  SoundOut sound = SoundOut::kInput;
  std::chrono::seconds limit{0};       ///< the stream is ended after this long; 0: never
  std::chrono::seconds idle_limit{0};  ///< and after this long without request or speech; 0: never
};

/// What a client sends once its stream is open.
struct StreamRequest {
  enum class Kind { kAudio, kEnd, kClear, kClose };
  Kind kind = Kind::kAudio;
  uint64_t utterance = 0;  ///< kAudio, kEnd
  uint64_t request = 0;    ///< kClear: comes back
  std::string audio;       ///< kAudio
};

/// What a stream sends.
struct StreamEvent {
  enum class Kind { kFrame, kStarted, kFinished, kCleared, kState, kWarning };
  Kind kind = Kind::kFrame;
  uint64_t utterance = 0;
  int64_t frame = 0;           ///< index; its time is frame / fps
  int64_t background = 0;      ///< kFrame: which avatar frame
  bool speaking = false;       ///< kFrame: the mouth is the model's; kState
  bool repeated = false;       ///< kFrame: show the picture before, `picture` is empty
  bool interrupted = false;    ///< kFinished
  int64_t played_samples = 0;  ///< kFinished, kCleared
  uint64_t request = 0;        ///< kCleared
  std::string picture, sound;  ///< kFrame, encoded
  std::string message;         ///< kWarning
};

/// The transport at the other end. Called on the loop or a worker: must only post or notify.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  virtual void OnOutput() = 0;    ///< Pop may have something, or the end
  virtual void OnAccepted() = 0;  ///< the request pushed last was taken: push the next
};

/// What streams share. All of it outlives them.
struct StreamPlace {
  pipeline::Engine* engine = nullptr;
  EventLoop* loop = nullptr;
  Executor* slow = nullptr;  ///< for what waits: loads, and the end of a stream
  Metrics* metrics = nullptr;
  const Clock* clock = nullptr;
  std::shared_ptr<void> presence;  ///< let go when nothing of the stream is left
};

/// One client's session, whatever the protocol: requests in, one at a time, events out in order,
/// pictures encoded by the workers. In live mode a reader that is more than 2 s behind gets frames
/// without pictures, their sound whole; one more than 10 s behind is cut off.
/// Thread: Push, Pop and Cancel from any.
class SpeechStream : public std::enable_shared_from_this<SpeechStream> {
 public:
  /// Takes its time where `lease` is cold; not on the loop. Nothing flows before Start.
  static Result<std::shared_ptr<SpeechStream>> Create(const StreamPlace& place,
                                                      AvatarRegistry::Lease lease,
                                                      std::unique_ptr<Admission::Ticket> ticket,
                                                      const StreamOptions& options);
  ~SpeechStream();

  void Start(std::shared_ptr<StreamListener> listener);
  /// The next request; wait for OnAccepted before another one.
  void Push(StreamRequest request);
  /// The client is gone, or the server ends: no further event but the end. What was not popped is
  /// dropped, also after the last event.
  void Cancel(Status why);

  enum class Popped { kEvent, kNothing, kEnd };
  Popped Pop(StreamEvent* event);
  Status status() const;  ///< after kEnd: why

  const Rational& fps() const { return session().fps(); }
  int width() const { return session().width(); }
  int height() const { return session().height(); }
  const StreamOptions& options() const { return options_; }
  const std::string& avatar() const { return lease_.name(); }
  const AvatarRegistry::Loaded& loaded() const { return lease_.avatar(); }

 private:
  struct Out {
    StreamEvent event;
    bool ready = false;
  };

  SpeechStream(const StreamPlace& place, AvatarRegistry::Lease lease,
               std::unique_ptr<Admission::Ticket> ticket, const StreamOptions& options);
  const pipeline::Session& session() const { return live_ ? live_->session() : *session_; }

  // On the loop.
  void SchedulePump();
  void Pump();
  bool TakeRequest();
  Result<bool> Apply();
  Result<bool> Clear();
  bool TakeEvents();
  void Handle(pipeline::Event& event);
  void HandleFrame(pipeline::Frame& frame);
  void Tell(StreamEvent event);
  void End(Status why);
  void WatchIdle();

  Status Encode(const PictureView& picture, std::string* out) const;
  void Show(pipeline::Frame& frame, Out& out) const;
  size_t file_room() const { return static_cast<size_t>(place_.engine->workers()) * 2 + 4; }

  const StreamPlace place_;
  const StreamOptions options_;
  AvatarRegistry::Lease lease_;
  const std::unique_ptr<Admission::Ticket> ticket_;  // null: not live
  std::unique_ptr<pipeline::Session> session_;       // file pace
  std::unique_ptr<pipeline::LiveSession> live_;      // live pace
  std::shared_ptr<StreamListener> listener_;         // the loop's
  std::optional<StreamRequest> request_;             // the loop's
  size_t request_at_ = 0;                            // the loop's: bytes taken of its audio
  bool closed_ = false, ended_ = false;              // the loop's
  TimePoint pushed_{}, heard_{};  // the loop's: the request's arrival, that of an utterance's first
  WorkMeter meter_;               // the loop's
  uint64_t heard_id_ = 0;         // the loop's: of the utterance heard last
  bool first_frame_due_ = false;  // the loop's: its first frame is waited for
  bool speaking_ = false;         // the loop's
  TimePoint armed_{};             // the loop's
  TimePoint last_said_{};         // the loop's: a request, a frame of speech
  std::atomic<bool> scheduled_ = false;
  mutable std::atomic<int64_t> encoding_ns_ = 0;  // work of the workers, beside the session's

  mutable std::mutex mu_;
  std::deque<std::shared_ptr<Out>> out_;  // guarded by mu_
  bool over_ = false;                     // guarded by mu_
  Status status_;                         // guarded by mu_
};

}  // namespace lipcast::server
