#include "lipcast/server/speech_stream.h"

#include <algorithm>
#include <utility>

#include "lipcast/media/jpeg_codec.h"
#include "lipcast/media/png_codec.h"

namespace lipcast::server {
namespace {

constexpr double kDropPicturesAfterS = 2, kCutOffAfterS = 10;
/// From the opening to frame 0 of a live stream: the workers may be at another's frame.
constexpr auto kOpening = std::chrono::milliseconds(100);
/// Answers to clears that may wait for the client beside the frames.
constexpr int kClearedWaiting = 64;

double Seconds(Nanoseconds time) { return std::chrono::duration<double>(time).count(); }

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A session's pictures lie packed.
std::string PixelsOf(const PictureView& picture) {
  return {reinterpret_cast<const char*>(picture.plane[0]),
          PictureBytes(picture.format, picture.width, picture.height)};
}

std::string RgbaPixels(const PictureView& bgr) {
  std::string rgba;
  rgba.reserve(static_cast<size_t>(bgr.width) * static_cast<size_t>(bgr.height) * 4);
  for (int y = 0; y < bgr.height; ++y) {
    const uint8_t* row = bgr.plane[0] + y * bgr.stride[0];
    for (int x = 0; x < bgr.width; ++x, row += 3) {
      rgba.push_back(static_cast<char>(row[2]));
      rgba.push_back(static_cast<char>(row[1]));
      rgba.push_back(static_cast<char>(row[0]));
      rgba.push_back(static_cast<char>(0xFF));
    }
  }
  return rgba;
}

}  // namespace

SpeechStream::SpeechStream(const StreamPlace& place, AvatarRegistry::Lease lease,
                           std::unique_ptr<Admission::Ticket> ticket, const StreamOptions& options)
    : place_(place),
      options_(options),
      lease_(std::move(lease)),
      ticket_(std::move(ticket)),
      meter_(options.session.fps.value_or(lease_.avatar()->avatar->manifest().fps).value()) {}

Result<std::shared_ptr<SpeechStream>> SpeechStream::Create(
    const StreamPlace& place, AvatarRegistry::Lease lease,
    std::unique_ptr<Admission::Ticket> ticket, const StreamOptions& options) {
  if (options.jpeg_quality < 1 || options.jpeg_quality > 100) {
    return Status(Code::kInvalidArgument,
                  "jpeg_quality = " + std::to_string(options.jpeg_quality) + ": want 1..100");
  }
  // A session's end waits for the frames being drawn: never on a worker, never on the loop.
  std::shared_ptr<SpeechStream> stream(
      new SpeechStream(place, std::move(lease), std::move(ticket), options),
      [slow = place.slow, presence = place.presence](SpeechStream* gone) mutable {
        slow->Post(TimePoint{}, [gone](int) { delete gone; });
        presence.reset();  // only now: `slow` must be there until Post returns
      });
  pipeline::SessionOptions session = options.session;
  session.pixels = options.codec == PictureCodec::kI420 ? PixelFormat::kI420 : PixelFormat::kBgr24;
  session.yields = !options.live;
  session.wake = [weak = std::weak_ptr(stream)] {
    if (const auto alive = weak.lock()) alive->SchedulePump();
  };
  const auto& avatar = stream->lease_.avatar();
  if (options.live) {
    LC_ASSIGN_OR_RETURN(stream->live_,
                        pipeline::LiveSession::Create(*place.engine, avatar, session, {},
                                                      place.clock->Now() + kOpening));
  } else {
    LC_ASSIGN_OR_RETURN(stream->session_, place.engine->Open(avatar, session));
  }
  return stream;
}

SpeechStream::~SpeechStream() {
  if (!live_ && !session_) return;  // it was refused
  const auto counts = session().counts();
  SessionUse use;
  use.frames = counts.frames;
  use.generated_frames = counts.generated;
  use.generate_time = session().times().total(Stage::kGenerator);
  lease_.Report(use);
}

void SpeechStream::Start(std::shared_ptr<StreamListener> listener) {
  place_.loop->Post([self = shared_from_this(), listener = std::move(listener)] {
    self->listener_ = listener;
    if (self->ended_) {
      listener->OnOutput();
      return;
    }
    const TimePoint now = self->place_.clock->Now();
    self->last_said_ = now;
    if (self->options_.limit.count() > 0) {
      self->place_.loop->At(now + self->options_.limit, [weak = self->weak_from_this()] {
        const auto alive = weak.lock();
        if (alive) alive->End(Status(Code::kDeadlineExceeded, "the session's time is over"));
      });
    }
    if (self->options_.idle_limit.count() > 0) self->WatchIdle();
    self->Pump();
  });
}

void SpeechStream::WatchIdle() {
  const TimePoint until = last_said_ + options_.idle_limit;
  if (place_.clock->Now() >= until) {
    End(Status(Code::kDeadlineExceeded, "nothing was said for too long"));
    return;
  }
  const TimePoint next = std::max(until, place_.clock->Now() + std::chrono::seconds(1));
  place_.loop->At(next, [weak = weak_from_this()] {
    if (const auto alive = weak.lock()) alive->WatchIdle();
  });
}

void SpeechStream::Push(StreamRequest request) {
  place_.loop->Post([self = shared_from_this(), request = std::move(request),
                     at = place_.clock->Now()]() mutable {
    if (self->ended_) return;
    self->pushed_ = at;
    self->request_ = std::move(request);
    self->request_at_ = 0;
    self->last_said_ = self->place_.clock->Now();
    self->Pump();
  });
}

void SpeechStream::Cancel(Status why) {
  place_.loop->Post(
      [self = shared_from_this(), why = std::move(why)]() mutable { self->End(std::move(why)); });
}

SpeechStream::Popped SpeechStream::Pop(StreamEvent* event) {
  {
    const std::lock_guard lock(mu_);
    if (out_.empty()) return over_ ? Popped::kEnd : Popped::kNothing;
    if (!out_.front()->ready) return Popped::kNothing;
    *event = std::move(out_.front()->event);
    out_.pop_front();
  }
  if (!options_.live) SchedulePump();
  return Popped::kEvent;
}

Status SpeechStream::status() const {
  const std::lock_guard lock(mu_);
  return status_;
}

// ---------------------------------------------------------------- on the loop

void SpeechStream::SchedulePump() {
  if (scheduled_.exchange(true)) return;
  place_.loop->Post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->scheduled_ = false;
      self->Pump();
    }
  });
}

void SpeechStream::Pump() {
  if (ended_ || !listener_) return;
  while (TakeRequest() || TakeEvents()) {
    if (ended_) return;
  }
  if (ended_ || !live_) return;
  const TimePoint due = live_->next_due();
  if (due == armed_) return;
  armed_ = due;
  place_.loop->At(due, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Pump();
  });
}

/// True if a request was taken whole.
bool SpeechStream::TakeRequest() {
  if (!request_ || ended_) return false;
  const Result<bool> whole = Apply();
  if (!whole.ok()) {
    End(whole.status());
    return false;
  }
  if (!*whole) return false;
  request_.reset();
  listener_->OnAccepted();
  return true;
}

Result<bool> SpeechStream::Apply() {
  switch (request_->kind) {
    case StreamRequest::Kind::kAudio: {
      if (request_->utterance > heard_id_) {
        heard_id_ = request_->utterance;
        heard_ = pushed_;
        first_frame_due_ = true;
      }
      const auto rest = BytesOf(request_->audio).subspan(request_at_);
      Result<size_t> taken = live_ ? live_->TryAudio(request_->utterance, rest)
                                   : session_->TryAudio(request_->utterance, rest);
      if (!taken.ok()) return taken.status();
      request_at_ += *taken;
      return request_at_ == request_->audio.size();
    }
    case StreamRequest::Kind::kEnd:
      return live_ ? live_->TryEnd(request_->utterance) : session_->TryEnd(request_->utterance);
    case StreamRequest::Kind::kClear:
      return Clear();
    case StreamRequest::Kind::kClose:
      if (std::exchange(closed_, true)) return true;
      if (live_) {
        live_->Close();
        return true;
      }
      LC_RETURN_IF_ERROR(session_->Finish());
      return true;
  }
  return true;
}

/// False while the client reads none of the answers.
Result<bool> SpeechStream::Clear() {
  {
    const std::lock_guard lock(mu_);
    const double shown = live_ ? kCutOffAfterS * fps().value() : static_cast<double>(file_room());
    if (static_cast<double>(out_.size()) >= shown + kClearedWaiting) return false;
  }
  const auto point = live_ ? live_->Clear() : session_->Clear();
  if (!point.ok()) return point.status();
  {
    const std::lock_guard lock(mu_);
    // Frames of it that wait for the client, but one, become silent repeats.
    bool first = true;
    for (std::shared_ptr<Out>& one : out_) {
      const StreamEvent& event = one->event;
      if (event.kind != StreamEvent::Kind::kFrame || event.utterance == 0) continue;
      if (std::exchange(first, false)) continue;
      auto silent = std::make_shared<Out>();
      silent->ready = silent->event.repeated = true;
      silent->event.frame = event.frame;
      silent->event.background = event.background;
      silent->event.sound.assign(
          event.sound.size(), static_cast<char>(audio::SilenceByte(options_.session.format.type)));
      one = std::move(silent);
    }
  }
  StreamEvent cleared;
  cleared.kind = StreamEvent::Kind::kCleared;
  cleared.request = request_->request;
  cleared.utterance = point->utterance;
  cleared.played_samples = point->played_samples;
  Tell(std::move(cleared));
  place_.metrics->Observe("clear_seconds", Seconds(place_.clock->Now() - pushed_));
  return true;
}

/// True if any event was taken.
bool SpeechStream::TakeEvents() {
  bool any = false;
  while (!ended_) {
    if (!live_) {
      const std::lock_guard lock(mu_);
      if (out_.size() >= file_room()) return any;
    }
    pipeline::Event event;
    const auto poll =
        live_ ? live_->TryNext(place_.clock->Now(), &event) : session_->TryNext(&event);
    if (!poll.ok()) {
      End(poll.status());
    } else if (*poll == pipeline::Poll::kEnd) {
      End({});
    } else if (*poll == pipeline::Poll::kLater) {
      return any;
    } else {
      Handle(event);
      any = true;
    }
  }
  return any;
}

void SpeechStream::Handle(pipeline::Event& event) {
  if (event.kind == pipeline::Event::Kind::kFrame) {
    HandleFrame(event.frame);
    return;
  }
  StreamEvent told;
  told.utterance = event.utterance;
  told.played_samples = event.played_samples;
  told.interrupted = event.interrupted;
  told.message = std::move(event.message);
  told.kind = event.kind == pipeline::Event::Kind::kStarted    ? StreamEvent::Kind::kStarted
              : event.kind == pipeline::Event::Kind::kFinished ? StreamEvent::Kind::kFinished
                                                               : StreamEvent::Kind::kWarning;
  Tell(std::move(told));
}

void SpeechStream::HandleFrame(pipeline::Frame& frame) {
  const bool speaking = frame.utterance != 0;
  const TimePoint now = place_.clock->Now();
  if (speaking) last_said_ = now;
  if (frame.utterance == heard_id_ && std::exchange(first_frame_due_, false)) {
    place_.metrics->Observe("first_frame_seconds", Seconds(now - heard_));
  }
  if (speaking != std::exchange(speaking_, speaking)) {
    StreamEvent state;
    state.kind = StreamEvent::Kind::kState;
    state.speaking = speaking;
    state.frame = frame.index;
    Tell(std::move(state));
  }
  auto out = std::make_shared<Out>();
  StreamEvent& event = out->event;
  event.frame = frame.index;
  event.utterance = frame.utterance;
  event.speaking = frame.speaking;
  event.background = frame.background;
  event.repeated = !frame.drawn;
  if (options_.sound == SoundOut::kInput) {
    event.sound.assign(reinterpret_cast<const char*>(frame.sound.data()), frame.sound.size());
  }
  place_.metrics->Count("frames_total", 1);
  if (frame.speaking) place_.metrics->Count("frames_generated_total", 1);
  if (!frame.drawn) place_.metrics->Count("frames_late_total", 1);
  const auto cost = meter_.OnFrame(speaking && (frame.speaking || !frame.drawn), frame.drawn,
                                   session().work() + Nanoseconds(encoding_ns_.load()));
  if (cost && ticket_) ticket_->Observe(*cost);
  size_t waiting = 0;
  {
    const std::lock_guard lock(mu_);
    waiting = out_.size();
    out_.push_back(out);
  }
  if (live_ && static_cast<double>(waiting) > kCutOffAfterS * fps().value()) {
    End(Status(Code::kResourceExhausted, "the reader is more than 10 s behind"));
    return;
  }
  if (live_ && static_cast<double>(waiting) > kDropPicturesAfterS * fps().value()) {
    event.repeated = true;
    place_.metrics->Count("frames_dropped_total{reason=\"slow_reader\"}", 1);
  }
  if (event.repeated) {
    {
      const std::lock_guard lock(mu_);
      out->ready = true;
    }
    listener_->OnOutput();
    return;
  }
  // The frame's buffers are on loan to the task; the listener lives as long as the stream tells it.
  auto shown = std::make_shared<pipeline::Frame>(std::move(frame));
  const TimePoint due = options_.live ? now : now + kBehindOthers;
  place_.engine->executor().Post(
      due, [self = shared_from_this(), shown, out, now, listener = listener_](int) {
        self->Show(*shown, *out);
        {
          const std::lock_guard lock(self->mu_);
          out->ready = true;
        }
        self->place_.metrics->Observe("frame_seconds", Seconds(self->place_.clock->Now() - now));
        listener->OnOutput();
      });
}

Status SpeechStream::Encode(const PictureView& picture, std::string* out) const {
  switch (options_.codec) {
    case PictureCodec::kJpeg:
    case PictureCodec::kPng: {
      std::vector<uint8_t> bytes;
      LC_RETURN_IF_ERROR(options_.codec == PictureCodec::kJpeg
                             ? media::EncodeJpeg(picture, options_.jpeg_quality, 0, &bytes)
                             : media::EncodePng(picture, &bytes));
      out->assign(bytes.begin(), bytes.end());
      break;
    }
    case PictureCodec::kRgba:
      *out = RgbaPixels(picture);
      break;
    case PictureCodec::kBgr:
    case PictureCodec::kI420:
      *out = PixelsOf(picture);
      break;
  }
  return {};
}

/// On a worker.
void SpeechStream::Show(pipeline::Frame& frame, Out& out) const {
  const WorkTimer work(encoding_ns_, WorkClock::kThreadCpu);
  const TimePoint start = place_.clock->Now();
  const Status status = Contain([&] { return Encode(frame.picture, &out.event.picture); });
  out.event.repeated = !status.ok();  // out of memory: the client keeps what it shows
  frame = {};
  const std::chrono::duration<double> took = place_.clock->Now() - start;
  place_.metrics->Observe("stage_seconds{stage=\"encode\"}", took.count());
}

void SpeechStream::Tell(StreamEvent event) {
  auto out = std::make_shared<Out>();
  out->event = std::move(event);
  out->ready = true;
  {
    const std::lock_guard lock(mu_);
    out_.push_back(std::move(out));
  }
  listener_->OnOutput();
}

void SpeechStream::End(Status why) {
  const bool first = !std::exchange(ended_, true);
  request_.reset();
  {
    const std::lock_guard lock(mu_);
    // After the last event only what nobody has read yet is still to be cut.
    if (!first && (why.ok() || out_.empty())) return;
    over_ = true;
    status_ = why;
    if (!why.ok()) out_.clear();
  }
  if (!why.ok()) {
    if (live_) live_->Cancel(why);
    if (session_) session_->Cancel(why);
  }
  if (listener_) listener_->OnOutput();
  if (!why.ok()) listener_ = nullptr;
}

}  // namespace lipcast::server
