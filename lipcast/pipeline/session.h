#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/buffer_pool.h"
#include "lipcast/base/metrics.h"
#include "lipcast/base/picture.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"
#include "lipcast/base/work_timer.h"
#include "lipcast/pipeline/byte_ring.h"
#include "lipcast/pipeline/engine.h"
#include "lipcast/pipeline/speech_timeline.h"

namespace lipcast::pipeline {

struct SessionOptions {
  audio::AudioFormat format;
  std::optional<Rational> fps;              ///< of the output; the avatar's own where unset
  std::optional<int> width, height;         ///< of the output; the avatar's own where unset
  PixelFormat pixels = PixelFormat::kI420;  ///< kBgr24 or kI420
  int64_t start_frame = 0;                  ///< avatar frame shown first, 0..2^31-1
  Edges edges = Edges::kSilence;
  Idle idle = Idle::kPassthrough;
  double silence_dbfs = -52.0;  ///< -200..0: a model frame quieter than this is silent
  int batch = 1;                ///< frames a worker draws at a time, 1..32
  FeedTap* tap = nullptr;       ///< not owned
  int ahead = 0;  ///< frames drawn before the reader asks, at most; 0: as many as there is room for
  bool yields = false;  ///< its work is done when there is none of sessions that do not yield
  /// Samples after its own that a frame brings along (Frame::ahead), up to 1 s. Next and TryNext
  /// wait for them, so frames come that much later; a frame taken undrawn brings what is there.
  int sound_ahead_samples = 0;
  /// For callers who do not wait: a Try call may now do more than before, other than by what the
  /// caller's own calls did. From any thread, with the session's lock held: must only post.
  std::function<void()> wake;

  Status Validate() const;
};

/// One picture with its time and its slice of sound.
struct Frame {
  int64_t index = 0;                 ///< its pts is index / fps
  uint64_t utterance = 0;            ///< 0: of none
  bool speaking = false;             ///< the mouth is (partly) the model's
  bool drawn = true;                 ///< false: taken before it was ready, without a picture
  int64_t background = 0;            ///< which avatar frame stands behind it
  DrawTimes times;                   ///< when it was drawn
  PictureView picture;               ///< lives as long as this object
  std::span<const std::byte> sound;  ///< samples [FirstSample(i), FirstSample(i + 1)), as they came
  std::span<const std::byte> ahead;  ///< what follows it, as things stand: a clear may change it
  int64_t played_samples = 0;        ///< of the utterance, before this frame
  BufferPool::Buffer picture_buffer, sound_buffer;
};

struct Event {
  enum class Kind { kFrame, kStarted, kFinished, kWarning };
  Kind kind = Kind::kFrame;
  Frame frame;                 ///< kFrame
  uint64_t utterance = 0;      ///< kStarted, kFinished
  int64_t played_samples = 0;  ///< kFinished: of the utterance, in input samples
  bool interrupted = false;    ///< kFinished
  std::string message;         ///< kWarning
};

/// What a Try call for the next event found.
enum class Poll { kEvent, kLater, kEnd };

/// Where a clear cut the stream.
struct ClearPoint {
  uint64_t utterance = 0;      ///< the one that was cut; 0 if none was under way
  int64_t played_samples = 0;  ///< of it, in input samples
};

struct SessionCounts {
  int64_t frames = 0;             ///< given out
  int64_t generated = 0;          ///< of them with a mouth by the model
  int64_t undrawn = 0;            ///< of them taken before they were ready
  int64_t not_finite_frames = 0;  ///< the model gave NaN or Inf, the source was shown
  int64_t dropped_bytes = 0;      ///< of cleared utterances, come too late; of incomplete samples
  int64_t picture_allocations = 0;
};

/// One stream: audio of utterances in, frames with their sound out.
///
/// Timeline: one, in input samples. Frame i owns [FirstSample(i), FirstSample(i + 1)); an utterance
///           begins at a frame edge, the one before it being filled up with silence. Bytes of an
///           incomplete last sample are dropped, counted and warned of.
/// Order:    Audio(1, ..).. End(1) Audio(2, ..).. End(2) Finish(). Ids only grow.
/// Look-ahead: a frame near a mouth that speaks is drawn from 0.45 s of audio after it, so the last
///           frames of an utterance come out once the next one's audio is in, or after Finish.
/// Waiting:  Audio waits while the session holds 4 s of audio from the frame the reader is at, or
///           64 utterances whose end the reader has not heard, cleared ones too; Next waits for
///           the next event. Nothing else waits. A reader that stops stops the writer. TryAudio,
///           TryEnd and TryNext are the same without waiting.
/// Memory:   the 4 s, one picture for each slot (batch * (workers + 2) + 4), 6 s of mono audio.
/// Thread:   one writer (Audio, End, Finish) and one reader (Next); Clear and Cancel from anywhere.
///           Destroy it only when no other call is under way: Cancel wakes those who wait.
class Session {
 public:
  static Result<std::unique_ptr<Session>> Create(Engine& engine,
                                                 std::shared_ptr<const LoadedAvatar> avatar,
                                                 const SessionOptions& options);
  ~Session();  ///< cancels, and waits for the frames being drawn; frames given out live on

  /// Bytes of `utterance` in the input format, any number, samples cut anywhere.
  /// Audio of a cleared utterance is dropped, counted and OK. After Cancel or a failure: its
  /// status. kInvalidArgument: an id below the newest. kFailedPrecondition: after its End, after
  /// Finish.
  Status Audio(uint64_t utterance, std::span<const std::byte> bytes);
  /// Takes what there is room for and returns how many bytes that were.
  Result<size_t> TryAudio(uint64_t utterance, std::span<const std::byte> bytes);
  Status End(uint64_t utterance);           ///< OK also where it has ended or was cleared
  Result<bool> TryEnd(uint64_t utterance);  ///< false: no room yet, ask again after a wake
  /// No more utterances: Next ends after the last frame. kFailedPrecondition where TryFinish says
  /// false.
  Status Finish();
  /// False: the silence before the newest utterance has found no room yet; ask again after a wake.
  Result<bool> TryFinish();

  /// Drops what was not yet given out; audio that still comes with the newest or an earlier id is
  /// dropped too. The next frame continues the picture and the sound where the reader stands. Every
  /// utterance cut is started and finished, interrupted. Reference edges become kSilence.
  Result<ClearPoint> Clear();
  /// Takes back what of `utterance`, the newest, is behind the frames that are drawn already, of
  /// which at most `keep` stay, and ends it there; if that leaves nothing, it gets no event. For
  /// silence that makes room for speech.
  Status TakeBackUndrawn(uint64_t utterance, int64_t keep);
  /// Ends the stream at once; Next then returns `why`.
  void Cancel(Status why);

  /// The next event in order; nullopt after the last.
  Result<std::optional<Event>> Next();
  /// kEvent fills `event`. With `even_undrawn` a frame whose sound is whole leaves now, drawn or
  /// not: for readers with a deadline.
  Result<Poll> TryNext(Event* event, bool even_undrawn = false);
  bool NextIsDrawn() const;

  const Rational& fps() const { return fps_; }
  int width() const { return width_; }
  int height() const { return height_; }
  /// What workers did for it so far, on the engine's work clock.
  Nanoseconds work() const { return Nanoseconds(work_ns_.load(std::memory_order_relaxed)); }
  /// All frames are due so much later: the reader stood still.
  void Postpone(Nanoseconds by);
  const StageTimes& times() const { return times_; }
  StageTimes& times() { return times_; }
  SessionCounts counts() const;
  /// The input's length so far, silence between utterances included.
  int64_t samples_in() const;
  /// Frames in all, once the end of the audio is known.
  std::optional<int64_t> total_frames() const;

 private:
  struct Slot {  // one output frame on its way, at index % slots
    enum class State { kEmpty, kDrawing, kDone };
    State state = State::kEmpty;
    int64_t index = -1;  // of the frame; an older frame's drawing finds another here
    BufferPool::Buffer picture;
    int64_t background = 0;
    bool speaking = false;
    DrawTimes times;
  };
  struct Copy {  // output frames [first, first + count) show one drawn picture
    int64_t first = 0;
    int count = 0;
  };
  struct Group {  // what one worker task draws
    bool busy = false;
    uint64_t generation = 0;
    std::vector<PaintJob> jobs;
    std::vector<Copy> copies;
    std::vector<BufferPool::Buffer> pictures;  // one a job, then those of the copies
    std::vector<float> contexts;
    size_t used = 0;
  };
  struct Utterance {
    uint64_t id = 0;
    int64_t first_frame = 0;
    std::optional<int64_t> end_sample;  // of the stream, not of the utterance
    bool started = false;
  };

  Session(Engine& engine, std::shared_ptr<const LoadedAvatar> avatar,
          const SessionOptions& options);

  // Called with mu_ held.
  TimePoint DueOf(int64_t frame) const;
  void SchedulePump();
  Result<size_t> TakeAudio(uint64_t utterance, std::span<const std::byte> bytes);
  void Begin(uint64_t utterance);
  bool FillToFrameEdge();
  bool CanEnd(uint64_t utterance) const;
  bool HeardEnough() const;
  void EndNewest();
  void DropDrawn(int64_t frame);
  void Changed();
  const Slot& SlotOf(int64_t frame) const {
    return slots_[static_cast<size_t>(frame) % slots_.size()];
  }
  Slot& SlotOf(int64_t frame) { return slots_[static_cast<size_t>(frame) % slots_.size()]; }
  void Warn(std::string message);
  void Fail(Status why);
  bool Ended() const { return total_frames_ && next_out_ >= *total_frames_; }
  int64_t received_samples() const { return ring_.end() / frame_bytes_; }
  int64_t FrameStartByte(int64_t frame) const;
  std::optional<Event> TakeEvent(bool even_undrawn);
  Event TakeFrame(bool drawn);

  // On a worker. Only one Pump runs at a time; it alone touches timeline_.
  void Pump();
  Result<bool> PumpOnce();
  Status RestartTimeline(int64_t frame);
  Result<bool> FeedTimeline();
  Result<bool> FinishTimeline();
  Result<bool> Dispatch();
  Group* FreeGroup();
  bool PostPartialGroup();
  void Post(Group* group);
  void Draw(Group& group, int worker);
  void CopyPictures(Group& group);

  Engine& engine_;
  const std::shared_ptr<const LoadedAvatar> avatar_;
  const SessionOptions options_;
  const Rational fps_;
  const int width_, height_;
  const int64_t frame_bytes_;
  const int64_t ahead_bytes_;
  const int batch_;
  const WorkClock work_clock_;
  StageTimes times_;
  std::atomic<int64_t> work_ns_ = 0;

  std::unique_ptr<SpeechTimeline> timeline_;  // the pump's
  std::vector<std::byte> pump_bytes_;         // the pump's
  Group* open_group_ = nullptr;               // the pump's: not yet posted
  bool timeline_finished_ = false;            // the pump's
  bool warned_phase_ = false;                 // the pump's
  bool warned_non_finite_ = false;            // the pump's

  mutable std::mutex mu_;
  std::condition_variable room_;       // the writer waits
  std::condition_variable available_;  // the reader waits
  std::condition_variable idle_;       // the destructor waits
  // All that follows is guarded by mu_.
  TimePoint due_;          // of frame 0, for the workers
  ByteRing ring_;          // audio from the next frame to give out up to the newest byte
  int64_t fed_bytes_ = 0;  // position up to which the timeline has read
  std::vector<Utterance> utterances_;
  uint64_t cleared_up_to_ = 0;  // ids
  uint64_t last_id_ = 0;        // the newest begun
  uint64_t waiting_id_ = 0;     // the newest that found no room to begin
  int64_t silence_to_ = 0;      // byte where its audio begins; up to there is silence
  bool last_ended_ = false;
  Edges edges_;
  std::optional<int64_t> end_sample_;    // set by Finish
  std::optional<int64_t> total_frames_;  // known once the audio's end is
  std::deque<Event> notices_;
  std::vector<Slot> slots_;
  int64_t next_dispatch_ = 0;  // output frame
  int64_t next_out_ = 0;
  uint64_t generation_ = 0;
  std::optional<int64_t> restart_;  // the frame at which the timeline starts anew
  bool pump_scheduled_ = false, pump_again_ = false;
  int tasks_ = 0;    // pump and draw tasks posted and not finished
  int drawing_ = 0;  // of them draw tasks
  Status failure_;
  SessionCounts counts_;
  std::vector<Group> groups_;
  BufferPool pictures_, sounds_;
};

}  // namespace lipcast::pipeline
