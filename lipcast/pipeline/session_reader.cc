// The reader's side of a session: what was drawn leaves in order, with its sound.

#include <algorithm>

#include "lipcast/pipeline/session.h"

namespace lipcast::pipeline {

Result<std::optional<Event>> Session::Next() {
  std::unique_lock lock(mu_);
  while (true) {
    if (auto event = TakeEvent(false)) return event;
    if (!failure_.ok()) return failure_;
    if (Ended() && utterances_.empty()) return std::optional<Event>();
    available_.wait(lock);
  }
}

Result<Poll> Session::TryNext(Event* event, bool even_undrawn) {
  std::unique_lock lock(mu_);
  if (auto next = TakeEvent(even_undrawn)) {
    *event = *std::move(next);
    return Poll::kEvent;
  }
  LC_RETURN_IF_ERROR(failure_);
  return Ended() && utterances_.empty() ? Poll::kEnd : Poll::kLater;
}

bool Session::NextIsDrawn() const {
  const std::lock_guard lock(mu_);
  return SlotOf(next_out_).state == Slot::State::kDone;
}

/// Whether what a frame is to bring along of the sound after it is there.
bool Session::HeardEnough() const {
  return end_sample_ || ring_.end() >= FrameStartByte(next_out_ + 1) + ahead_bytes_;
}

std::optional<Event> Session::TakeEvent(bool even_undrawn) {
  if (!notices_.empty()) {
    std::optional<Event> event(std::move(notices_.front()));
    notices_.pop_front();
    room_.notify_all();
    return event;
  }
  if (!failure_.ok()) return std::nullopt;
  const bool drawn = SlotOf(next_out_).state == Slot::State::kDone;
  const bool ready =
      even_undrawn
          ? drawn || (!Ended() && (total_frames_ || ring_.end() >= FrameStartByte(next_out_ + 1)))
          : drawn && (ahead_bytes_ == 0 || HeardEnough());
  if (!utterances_.empty()) {
    Utterance& front = utterances_.front();
    // Reference edges end sooner than the audio: what is left then is over too.
    const bool over =
        front.end_sample &&
        (Ended() || next_out_ >= FramesFor(*front.end_sample, options_.format.rate_hz, fps_));
    Event event;
    event.utterance = front.id;
    if (!front.started && (over || (ready && front.first_frame <= next_out_))) {
      front.started = true;
      event.kind = Event::Kind::kStarted;
      return event;
    }
    if (over) {
      event.kind = Event::Kind::kFinished;
      event.played_samples =
          *front.end_sample - FirstSample(front.first_frame, options_.format.rate_hz, fps_);
      utterances_.erase(utterances_.begin());
      room_.notify_all();
      return event;
    }
  }
  if (!ready) return std::nullopt;
  return TakeFrame(drawn);
}

Event Session::TakeFrame(bool drawn) {
  Slot& slot = SlotOf(next_out_);
  Event event;
  Frame& frame = event.frame;
  frame.index = next_out_;
  if (!utterances_.empty()) {
    frame.utterance = utterances_.front().id;
    frame.played_samples =
        FirstSample(next_out_, options_.format.rate_hz, fps_) -
        FirstSample(utterances_.front().first_frame, options_.format.rate_hz, fps_);
  }
  frame.drawn = drawn;
  if (drawn) {
    frame.speaking = slot.speaking;
    frame.background = slot.background;
    frame.times = slot.times;
    frame.picture_buffer = std::move(slot.picture);
    frame.picture = PackedView(options_.pixels, width_, height_,
                               static_cast<const uint8_t*>(frame.picture_buffer.data()));
  }
  const int64_t begin = FrameStartByte(next_out_);
  const int64_t whole = received_samples() * frame_bytes_;
  const int64_t end = std::min(FrameStartByte(next_out_ + 1), whole);
  frame.sound_buffer = sounds_.Take();
  const auto own = static_cast<size_t>(std::max<int64_t>(0, end - begin));
  const auto after = static_cast<size_t>(std::clamp<int64_t>(whole - end, 0, ahead_bytes_));
  const auto sound = std::as_writable_bytes(frame.sound_buffer.bytes()).first(own + after);
  ring_.Read(begin, sound);
  frame.sound = sound.first(own);
  frame.ahead = sound.subspan(own);
  ring_.DropBefore(std::min(end, fed_bytes_));
  slot.state = Slot::State::kEmpty;
  ++next_out_;
  next_dispatch_ = std::max(next_dispatch_, next_out_);
  ++counts_.frames;
  if (!drawn) {
    ++counts_.undrawn;
    if (fed_bytes_ < end - static_cast<int64_t>(ring_.room())) {
      // The workers are seconds behind: they go on from here, or the sound would have to wait.
      DropDrawn(next_out_);
      fed_bytes_ = end;
      ring_.DropBefore(end);
    }
  }
  if (frame.speaking) ++counts_.generated;
  room_.notify_all();
  SchedulePump();
  return event;
}

}  // namespace lipcast::pipeline
