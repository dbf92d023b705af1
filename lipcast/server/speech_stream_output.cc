// The client's side of a stream: frames become what waits for it, workers make their pictures and
// sound, a clear cuts what waits.

#include <algorithm>
#include <utility>

#include "lipcast/server/speech_stream.h"

#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

constexpr double kDropPicturesAfterS = 2, kGiveUpPicturesAfterS = 5, kCutOffAfterS = 10;
/// Answers that may wait for the client beside the frames.
constexpr int kAnswersWaiting = 64;

}  // namespace

SpeechStream::Popped SpeechStream::Pop(StreamEvent* event) {
  std::shared_ptr<Out> out;
  std::shared_ptr<FrameTap> tap;
  size_t left = 0;
  {
    const std::lock_guard lock(mu_);
    if (out_.empty() && !over_) return Popped::kNothing;
    if (!out_.empty()) {
      if (!out_.front()->ready()) return Popped::kNothing;
      out = std::move(out_.front());
      out_.pop_front();
      left = out_.size();
      tap = tap_;
    }
  }
  if (!out) return PopMovieEnd(event);
  if (out->event.kind == StreamEvent::Kind::kFrame) {
    record_->Sent(out->event.repeated, out->steps.get(), left);
    if (tap && !tap->Take(out->event)) LetGo(tap);
  }
  *event = std::move(out->event);
  if (movie_ && event->kind == StreamEvent::Kind::kFrame) {
    auto piece = Contain([&] { return movie_->Add(*event); });
    if (!piece.ok()) {
      Cancel(piece.status());
      return Popped::kNothing;
    }
    event->picture = *std::move(piece);
    event->sound.clear();
  }
  if (!options_.live) SchedulePump();
  return Popped::kEvent;
}

Status SpeechStream::Tap(std::shared_ptr<FrameTap> tap) {
  if (!live_) {
    return Status(
        Code::kFailedPrecondition,
        "a session at file pace has its frames as fast as they are read: render the sound");
  }
  const std::lock_guard lock(mu_);
  if (over_) return Status(Code::kFailedPrecondition, "the session has ended");
  if (tap_ && tap_->wants_more()) {
    return Status(Code::kAlreadyExists, "the session is being recorded already");
  }
  tap_ = std::move(tap);
  key_frame_wanted_ = true;
  return {};
}

void SpeechStream::LetGo(const std::shared_ptr<FrameTap>& tap) {
  const std::lock_guard lock(mu_);
  if (tap_ == tap) tap_ = nullptr;
}

/// After all events: what the movie still holds, once.
SpeechStream::Popped SpeechStream::PopMovieEnd(StreamEvent* event) {
  if (!movie_ || !status().ok() || std::exchange(movie_ended_, true)) return Popped::kEnd;
  auto piece = Contain([&] { return movie_->Finish(); });
  if (!piece.ok()) {
    const std::lock_guard lock(mu_);
    status_ = piece.status();
    return Popped::kEnd;
  }
  if (piece->empty()) return Popped::kEnd;
  *event = {};
  event->kind = StreamEvent::Kind::kMovieEnd;
  event->picture = *std::move(piece);
  return Popped::kEvent;
}

void SpeechStream::HandleFrame(pipeline::Frame& frame, TimePoint due) {
  const bool speaking = frame.utterance != 0;
  const TimePoint now = place_.clock->Now();
  if (speaking) last_said_ = now;
  if (speaking != std::exchange(speaking_, speaking)) {
    StreamEvent state;
    state.kind = StreamEvent::Kind::kState;
    state.speaking = speaking;
    state.frame = frame.index;
    Tell(std::move(state));
  }
  next_frame_ = frame.index + 1;
  auto out = std::make_shared<Out>();
  StreamEvent& event = out->event;
  event.frame = frame.index;
  event.utterance = frame.utterance;
  event.played_samples = frame.played_samples;
  event.speaking = frame.speaking;
  event.background = frame.background;
  event.repeated = !frame.drawn;
  if (options_.sound == SoundOut::kInput) {
    event.sound.assign(reinterpret_cast<const char*>(frame.sound.data()), frame.sound.size());
  }
  const Unread unread = LookAtUnread();
  out->steps = record_->TookFrame(frame, due, unread.events);
  const bool slow = live_ && IsSlow(unread);
  if (slow && !event.repeated) {
    event.repeated = out->dropped = true;
    record_->LeftOut(unread.made, unread.events);
  }
  Measure(frame, out->dropped);
  const bool picture = !event.repeated;
  out->making = (picture ? 1 : 0) + (sound_ ? 1 : 0);
  out->begun = !picture;
  if (picture) out->drawn_bytes = frame.picture_buffer.size();
  {
    const std::lock_guard lock(mu_);
    out_.push_back(out);
  }
  if (slow && static_cast<double>(unread.events) > kCutOffAfterS * fps().value()) {
    End(refusal::Exhausted(
        refusal::kSlowReader,
        unread.made ? "the reader is more than 10 s behind"
                    : "pictures take longer to encode than to show: more than 10 s behind"));
    return;
  }
  if (!picture && !sound_) {
    listener_->OnOutput();
    return;
  }
  // The frame's buffers are on loan to the tasks; the listener lives as long as the stream tells
  // it.
  auto shown = std::make_shared<const pipeline::Frame>(std::move(frame));
  const TimePoint deadline = options_.live ? now : now + kBehindOthers;
  if (sound_) {
    sound_strand_->Post(deadline,
                        [self = shared_from_this(), shown, out, listener = listener_](int) {
                          self->Guard([&] { self->MakeSound(*shown, *out); });
                          listener->OnOutput();
                        });
  }
  if (!picture) return;
  Executor::Task task = [self = shared_from_this(), shown, out, due, listener = listener_](int) {
    self->Guard([&] { self->MakePicture(*shown, due, *out); });
    listener->OnOutput();
  };
  if (picture_strand_) {
    picture_strand_->Post(deadline, std::move(task));
  } else {
    place_.engine->executor().Post(deadline, std::move(task));
  }
}

void SpeechStream::Measure(const pipeline::Frame& frame, bool dropped) {
  if (dropped) {  // what is not encoded says nothing of the cost
    meter_.Restart();
    return;
  }
  const bool speaking = frame.utterance != 0 && (frame.speaking || !frame.drawn);
  const auto cost =
      meter_.OnFrame(speaking, frame.drawn, session().work() + Nanoseconds(encoding_ns_.load()));
  if (cost && ticket_) ticket_->Observe(*cost);
}

SpeechStream::Unread SpeechStream::LookAtUnread() const {
  Unread unread;
  const std::lock_guard lock(mu_);
  unread.events = out_.size();
  unread.made = out_.empty() || out_.front()->ready();
  for (const auto& out : out_) unread.bytes += out->bytes();
  return unread;
}

/// Live: whether what waits for the client must not grow by another picture.
bool SpeechStream::IsSlow(const Unread& unread) {
  const double behind_s = static_cast<double>(unread.events) / fps().value();
  if (!unread.made && behind_s > kGiveUpPicturesAfterS) GiveUpPictures();
  return behind_s > kDropPicturesAfterS || unread.bytes > kMaxUnreadBytes;
}

/// Pictures that no worker has begun would come ever later, and hold up the sound.
void SpeechStream::GiveUpPictures() {
  size_t count = 0;
  {
    const std::lock_guard lock(mu_);
    for (const auto& out : out_) {
      if (out->begun || out->lost) continue;
      out->lost = out->dropped = true;
      ++count;
    }
  }
  while (count-- > 0) record_->LeftOut(false, count);
}

void SpeechStream::Warn(std::string message) {
  StreamEvent warning;
  warning.kind = StreamEvent::Kind::kWarning;
  warning.message = std::move(message);
  Tell(std::move(warning));
}

void SpeechStream::Tell(StreamEvent event) {
  auto out = std::make_shared<Out>();
  out->event = std::move(event);
  {
    const std::lock_guard lock(mu_);
    out_.push_back(std::move(out));
  }
  listener_->OnOutput();
}

/// False while the client reads none of the answers.
bool SpeechStream::MayAnswer() {
  const double shown = live_ ? kCutOffAfterS * fps().value() : static_cast<double>(file_room());
  const std::lock_guard lock(mu_);
  return static_cast<double>(out_.size()) < shown + kAnswersWaiting;
}

void SpeechStream::End(Status why) {
  const bool first = !std::exchange(ended_, true);
  request_.reset();
  ticket_.reset();  // who hears of the end may open the next one at once
  {
    const std::lock_guard lock(mu_);
    // After the last event only what nobody has read yet is still to be cut.
    if (!first && (why.ok() || out_.empty())) return;
    over_ = true;
    status_ = why;
    if (!why.ok()) {
      for (const auto& out : out_) {
        out->lost = true;
        unread_ += out->is_kept_frame() ? 1 : 0;
      }
      out_.clear();
    }
  }
  if (!why.ok()) {
    if (live_) live_->Cancel(why);
    if (session_) session_->Cancel(why);
  }
  if (listener_) listener_->OnOutput();
  if (!why.ok()) listener_ = nullptr;
}

// ---------------------------------------------------------------- a clear

/// Frames of speech that wait for the client, but one, become silent repeats.
SpeechStream::Cut SpeechStream::CutWaiting() {
  Cut cut;
  bool first = true;
  bool broken = false;  // a picture before this one was encoded and will not be sent
  const std::lock_guard lock(mu_);
  for (std::shared_ptr<Out>& one : out_) {
    StreamEvent& event = one->event;
    if (event.kind == StreamEvent::Kind::kFinished) FinishCut(&event);
    if (event.kind != StreamEvent::Kind::kFrame) continue;
    if (event.utterance != 0 && !std::exchange(first, false)) {
      broken |= encoder_->in_order() && !event.repeated;
      const bool had_one = !event.repeated && !one->dropped;
      if (had_one) ++cut.frames;
      if (!cut.point) cut.point = {event.utterance, event.played_samples};
      cut_.try_emplace(event.utterance, event.played_samples);
      one->lost = true;
      auto repeat = std::make_shared<Out>(SilentRepeat(event));
      repeat->dropped = one->dropped || had_one;
      one = std::move(repeat);
    } else if (broken && one->ready() && event.key_frame) {
      broken = false;
    } else if (broken) {
      if (!event.repeated && !std::exchange(one->dropped, true)) ++cut.frames;
      one->lost = true;
      Complete(one.get(), 0);
    }
  }
  key_frame_wanted_ |= broken;
  return cut;
}

SpeechStream::Out SpeechStream::SilentRepeat(const StreamEvent& frame) const {
  Out out;
  out.event.frame = frame.frame;
  out.event.background = frame.background;
  out.event.repeated = true;
  if (options_.sound == SoundOut::kInput) {
    out.event.sound.assign(frame.sound.size(),
                           static_cast<char>(audio::SilenceByte(options_.session.format.type)));
  } else if (options_.sound == SoundOut::kPcm16) {
    const audio::AudioFormat format = sound_format();
    const int64_t samples = FirstSample(frame.frame + 1, format.rate_hz, fps()) -
                            FirstSample(frame.frame, format.rate_hz, fps());
    out.event.sound.assign(static_cast<size_t>(samples * format.frame_bytes()), 0);
  }
  return out;
}

/// An utterance of which the client never saw the end.
void SpeechStream::FinishCut(StreamEvent* finished) {
  const auto cut = cut_.find(finished->utterance);
  if (cut == cut_.end()) return;
  finished->played_samples = cut->second;
  finished->interrupted = true;
  cut_.erase(cut);
}

// ---------------------------------------------------------------- on a worker

void SpeechStream::MakePicture(const pipeline::Frame& frame, TimePoint due, Out& out) {
  bool key_frame = false;
  {
    const std::lock_guard lock(mu_);
    out.begun = true;
    if (out.lost) {
      out.drawn_bytes = 0;
      Complete(&out, 1);
      return;
    }
    key_frame = std::exchange(key_frame_wanted_, false);
  }
  const WorkTimer work(encoding_ns_, WorkClock::kThreadCpu);
  const TimePoint start = place_.clock->Now();
  std::string picture;
  const Status status =
      Contain([&] { return encoder_->Encode(frame.picture, &key_frame, &picture); });
  const TimePoint end = place_.clock->Now();
  (live_ ? live_->times() : session_->times()).Add(Stage::kEncode, end - start);
  record_->Encoded(status, due);
  if (status.code() == Code::kInvalidArgument) Cancel(status);  // no message holds it
  const std::lock_guard lock(mu_);
  out.drawn_bytes = 0;
  if (status.ok()) {
    out.event.picture = std::move(picture);
    out.event.key_frame = key_frame;
    if (out.steps) {
      out.steps->encoded_from = start;
      out.steps->encoded_to = end;
    }
  } else {  // out of memory: the client keeps what it shows
    out.lost = out.dropped = key_frame_wanted_ = true;
  }
  Complete(&out, 1);
}

void SpeechStream::MakeSound(const pipeline::Frame& frame, Out& out) {
  const WorkTimer work(encoding_ns_, WorkClock::kThreadCpu);
  std::string sound;
  const Status status = Contain([&] { return sound_->Convert(frame.sound, frame.ahead, &sound); });
  if (!status.ok()) Cancel(status);
  const std::lock_guard lock(mu_);
  out.event.sound = std::move(sound);
  Complete(&out, 1);
}

/// With mu_ held: so many parts of it are made.
void SpeechStream::Complete(Out* out, int parts) {
  out->making -= parts;
  if (!out->lost) return;
  out->event.picture.clear();
  out->event.key_frame = false;
  out->event.repeated = true;
}

}  // namespace lipcast::server
