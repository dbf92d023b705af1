#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lipcast/base/clock.h"
#include "lipcast/base/executor.h"
#include "lipcast/base/metrics.h"
#include "lipcast/media/frame_sound.h"
#include "lipcast/pipeline/live_session.h"
#include "lipcast/pipeline/session.h"
#include "lipcast/server/admission.h"
#include "lipcast/server/arrival_watch.h"
#include "lipcast/server/avatar_registry.h"
#include "lipcast/server/event_loop.h"
#include "lipcast/server/picture_encoder.h"
#include "lipcast/server/stream_movie.h"
#include "lipcast/server/stream_record.h"
#include "lipcast/server/work_meter.h"

namespace lipcast::server {

enum class SoundOut {
  kInput,  ///< the bytes as they came
  kPcm16,  ///< S16 at sound_rate_hz, in the input's channels; the last frame's filled up
  kNone,
};

struct StreamOptions {
  pipeline::SessionOptions session;  ///< pixels and wake are set by the stream
  std::string_view interface = "-";  ///< a literal, for logs: "grpc", "websocket", "http"
  std::string peer = {};             ///< the client's address, for people
  bool live = true;                  ///< a frame each 1/fps seconds; else as fast as it is read
  PictureEncoderOptions picture;
  SoundOut sound = SoundOut::kInput;
  /// A frame's `picture` is the next piece of a fragmented MP4 that has its sound too; wants
  /// PictureCodec::kH264Avcc.
  bool movie = false;
  int sound_rate_hz = 0;               ///< kPcm16: 8000..192000; 0: the input's
  std::chrono::seconds limit{0};       ///< the stream is ended after this long; 0: never
  std::chrono::seconds idle_limit{0};  ///< and after this long without request or speech; 0: never
};

/// What a client sends once its stream is open.
struct StreamRequest {
  enum class Kind { kAudio, kEnd, kClear, kKeyFrame, kClose };
  Kind kind = Kind::kAudio;
  uint64_t utterance = 0;   ///< kAudio, kEnd
  uint64_t request = 0;     ///< kClear: comes back
  std::string audio;        ///< kAudio
  std::string reason = {};  ///< kClear: for the log
};

/// What a stream sends.
struct StreamEvent {
  enum class Kind { kFrame, kStarted, kFinished, kCleared, kState, kWarning, kMovieEnd };
  Kind kind = Kind::kFrame;
  uint64_t utterance = 0;
  int64_t frame = 0;           ///< index; its time is frame / fps. kStarted, kState: from which on
  int64_t background = 0;      ///< kFrame: which avatar frame
  bool speaking = false;       ///< kFrame: the mouth is the model's; kState
  bool repeated = false;       ///< kFrame: show the picture before, `picture` is empty
  bool key_frame = false;      ///< kFrame: `picture` decodes by itself
  bool interrupted = false;    ///< kFinished
  int64_t played_samples = 0;  ///< kFinished, kCleared; kFrame: of the utterance, before it
  uint64_t request = 0;        ///< kCleared
  std::string picture, sound;  ///< kFrame, encoded; kMovieEnd: `picture` is the last piece
  std::string message;         ///< kWarning
};

/// The transport at the other end. Called on the loop or a worker: must only post or notify.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  virtual void OnOutput() = 0;    ///< Pop may have something, or the end
  virtual void OnAccepted() = 0;  ///< the request pushed last was taken: push the next
};

/// Looks on as frames leave for the client. Called where the adapter pops: must only queue.
class FrameTap {
 public:
  virtual ~FrameTap() = default;
  /// One frame, as the client gets it. False: it wants no more, and is let go.
  virtual bool Take(const StreamEvent& frame) = 0;
  virtual bool wants_more() const = 0;
  virtual void OnStreamEnd(const Status& why) = 0;  ///< the last call
};

/// What streams share. All of it outlives them.
struct StreamPlace {
  pipeline::Engine* engine = nullptr;
  EventLoop* loop = nullptr;
  Executor* slow = nullptr;  ///< for what waits: loads, and the end of a stream
  StreamRecords* records = nullptr;
  const Clock* clock = nullptr;
  std::shared_ptr<void> presence;  ///< let go when nothing of the stream is left
};

/// One client's session, whatever the protocol: requests in, one at a time, events out in order,
/// pictures encoded by the workers. In live mode a reader that is more than 2 s or 64 MiB behind
/// gets frames without pictures, their sound whole; one more than 10 s behind is cut off. At file
/// pace the stream waits for its reader at 64 MiB. What is thrown on its behalf ends it with
/// kInternal, or kResourceExhausted for memory. Thread: Push, Pop and Cancel from any, one Pop at a
/// time.
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

  /// From the next key frame on, which is asked for; the frames are shown to it as they are popped.
  /// kAlreadyExists where one wants more, kFailedPrecondition at file pace and after the end.
  Status Tap(std::shared_ptr<FrameTap> tap);
  bool tapped() const;  ///< by one that wants more

  enum class Popped { kEvent, kNothing, kEnd };
  Popped Pop(StreamEvent* event);
  Status status() const;  ///< after kEnd: why
  bool over() const;      ///< nothing more comes but what waits for Pop

  const Rational& fps() const { return session().fps(); }
  const std::string& id() const { return record_->id(); }
  const StreamRecord& record() const { return *record_; }
  int width() const { return encoder_->width(); }  ///< of what decodes
  int height() const { return encoder_->height(); }
  /// kH264Avcc: the avcC record; of a movie its init segment.
  std::span<const uint8_t> codec_config() const {
    return movie_ ? movie_->init_segment() : encoder_->codec_config();
  }
  const StreamMovie* movie() const { return movie_.get(); }  ///< null: none
  /// Of a movie of its pictures and the sound that frames carry.
  media::H264StreamOptions MovieOptions() const;
  std::span<const uint8_t> avcc() const { return encoder_->avcc(); }
  /// Of the sound that frames carry; meaningless with kNone.
  audio::AudioFormat sound_format() const;
  const StreamOptions& options() const { return options_; }
  const std::string& avatar() const { return lease_.name(); }
  const AvatarRegistry::Loaded& loaded() const { return lease_.avatar(); }

 private:
  /// An event on its way to the client; members guarded by mu_.
  struct Out {
    StreamEvent event;
    int making = 0;          // parts of it that workers are still at: its picture, its sound
    bool begun = true;       // its picture, if it has one: a worker is at it, or was
    bool lost = false;       // its picture must not be sent, so it need not be encoded either
    bool dropped = false;    // and that is counted
    size_t drawn_bytes = 0;  // held until its picture is encoded
    std::unique_ptr<FrameSteps> steps;  // null: not traced
    bool ready() const { return making == 0; }
    bool is_kept_frame() const { return event.kind == StreamEvent::Kind::kFrame && !dropped; }
    size_t bytes() const { return drawn_bytes + event.picture.size() + event.sound.size(); }
  };

  SpeechStream(const StreamPlace& place, AvatarRegistry::Lease lease,
               std::unique_ptr<Admission::Ticket> ticket, const StreamOptions& options);
  const pipeline::Session& session() const { return live_ ? live_->session() : *session_; }

  /// What `step` throws ends the stream.
  template <typename Step>
  void Guard(Step&& step) {
    const Status done = Contain([&] {
      step();
      return Status();
    });
    if (!done.ok()) Cancel(done);
  }

  // On the loop.
  void Begin();
  void SchedulePump();
  void Pump();
  void Move();
  bool TakeRequest();
  Result<bool> Apply();
  bool MayAnswer();
  Result<bool> Clear();
  Popped PopMovieEnd(StreamEvent* event);
  /// What a clear did to the frames that wait for the client.
  struct Cut {
    std::optional<pipeline::ClearPoint> point;  ///< where, if any was of speech
    int frames = 0;                             ///< that lost their picture
  };
  Cut CutWaiting();
  Out SilentRepeat(const StreamEvent& frame) const;
  /// What waits for the client.
  struct Unread {
    size_t events = 0, bytes = 0;
    bool made = true;  ///< the first is whole, so it is the reader that is awaited
  };
  void Measure(const pipeline::Frame& frame, bool dropped);
  Unread LookAtUnread() const;
  bool IsSlow(const Unread& unread);
  void GiveUpPictures();
  bool TakeEvents();
  void Handle(pipeline::Event& event, TimePoint due);
  void HandleFrame(pipeline::Frame& frame, TimePoint due);
  void FinishCut(StreamEvent* finished);
  void Tell(StreamEvent event);
  void Warn(std::string message);
  void End(Status why);
  void WatchArrival();
  void WatchIdle();

  // On a worker.
  void MakePicture(const pipeline::Frame& frame, TimePoint due, Out& out);
  void MakeSound(const pipeline::Frame& frame, Out& out);
  static void Complete(Out* out, int parts);
  void LetGo(const std::shared_ptr<FrameTap>& tap);

  /// Drawn, encoded and sound, that may wait for the client, and one frame more.
  static constexpr size_t kMaxUnreadBytes = 64 << 20;
  size_t file_room() const { return static_cast<size_t>(place_.engine->workers()) * 2 + 4; }

  const StreamPlace place_;
  const StreamOptions options_;
  AvatarRegistry::Lease lease_;
  std::unique_ptr<Admission::Ticket> ticket_;    // the loop's; null: not live, or ended
  std::unique_ptr<pipeline::Session> session_;   // file pace
  std::unique_ptr<pipeline::LiveSession> live_;  // live pace
  std::optional<PictureEncoder> encoder_;
  std::shared_ptr<Strand> picture_strand_;  // of an encoder that wants its pictures in order
  std::optional<media::FrameSound> sound_;  // kPcm16; the sound strand's
  std::shared_ptr<Strand> sound_strand_;    // kPcm16
  std::unique_ptr<StreamMovie> movie_;      // Pop's
  bool movie_ended_ = false;                // Pop's
  std::unique_ptr<StreamRecord> record_;
  std::shared_ptr<StreamListener> listener_;  // the loop's
  std::optional<StreamRequest> request_;      // the loop's
  size_t request_at_ = 0;                     // the loop's: bytes taken of its audio
  std::optional<ArrivalWatch> arrival_;       // the loop's; live only
  bool ended_ = false;                        // the loop's
  bool told_full_ = false;                    // the loop's: that sound found no room
  TimePoint pushed_{};                        // the loop's: the request's arrival
  WorkMeter meter_;                           // the loop's
  bool speaking_ = false;                     // the loop's
  int64_t next_frame_ = 0;                    // the loop's
  /// The loop's: utterances cut while frames of them waited for the client, and where.
  std::map<uint64_t, int64_t> cut_;
  TimePoint armed_{};      // the loop's
  TimePoint last_said_{};  // the loop's: a request, a frame of speech
  std::atomic<bool> scheduled_ = false;
  std::atomic<int64_t> encoding_ns_ = 0;  // work of the workers, beside the session's

  mutable std::mutex mu_;
  std::deque<std::shared_ptr<Out>> out_;  // guarded by mu_
  bool key_frame_wanted_ = false;         // guarded by mu_
  std::shared_ptr<FrameTap> tap_;         // guarded by mu_
  bool over_ = false;                     // guarded by mu_
  int64_t unread_ = 0;                    // guarded by mu_: frames that a Cancel dropped
  Status status_;                         // guarded by mu_
};

}  // namespace lipcast::server
