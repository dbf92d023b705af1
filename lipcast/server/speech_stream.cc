#include "lipcast/server/speech_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace lipcast::server {
namespace {

/// From the opening to frame 0 of a live stream: the workers may be at another's frame.
constexpr auto kOpening = std::chrono::milliseconds(100);
/// Sound that may wait in a live stream is what LiveOptions says, or the first of these if that is
/// more, and never more than the second: what is sent behind sound that finds no room, a clear too,
/// is not read until it has some.
constexpr double kSoundWaitingBytes = 16 << 20, kMaxSoundWaitingBytes = 64 << 20;

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
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
  // A session's end waits for the frames being drawn: never on a worker, never on the loop.
  std::shared_ptr<SpeechStream> stream(
      new SpeechStream(place, std::move(lease), std::move(ticket), options),
      [slow = place.slow, presence = place.presence](SpeechStream* gone) mutable {
        slow->Post(TimePoint{}, [gone](int) { delete gone; });
        presence.reset();  // only now: `slow` must be there until Post returns
      });
  pipeline::SessionOptions session = options.session;
  session.yields = !options.live;
  session.pixels = PixelsFor(options.picture.codec);
  const audio::AudioFormat sound = stream->sound_format();
  if (options.sound == SoundOut::kPcm16) {
    session.sound_ahead_samples = media::FrameSound::AheadSamples(session.format, sound.rate_hz);
  }
  session.wake = [weak = std::weak_ptr(stream)] {
    if (const auto alive = weak.lock()) alive->SchedulePump();
  };
  const auto& avatar = stream->lease_.avatar();
  if (options.live) {
    const double bytes_per_second = static_cast<double>(session.format.rate_hz) *
                                    static_cast<double>(session.format.frame_bytes());
    pipeline::LiveOptions live;
    live.max_waiting_s = std::clamp(live.max_waiting_s, kSoundWaitingBytes / bytes_per_second,
                                    kMaxSoundWaitingBytes / bytes_per_second);
    LC_ASSIGN_OR_RETURN(stream->live_,
                        pipeline::LiveSession::Create(*place.engine, avatar, session, live,
                                                      place.clock->Now() + kOpening));
    stream->arrival_.emplace(bytes_per_second);
  } else {
    LC_ASSIGN_OR_RETURN(stream->session_, place.engine->Open(avatar, session));
  }
  const pipeline::Session& opened = stream->session();
  LC_ASSIGN_OR_RETURN(auto encoder, PictureEncoder::Create(options.picture, opened.width(),
                                                           opened.height(), opened.fps()));
  stream->encoder_.emplace(std::move(encoder));
  if (stream->encoder_->in_order()) {
    stream->picture_strand_ = Strand::Create(place.engine->executor());
  }
  if (options.sound == SoundOut::kPcm16) {
    LC_ASSIGN_OR_RETURN(auto converter,
                        media::FrameSound::Create(session.format, sound.rate_hz, opened.fps()));
    stream->sound_.emplace(std::move(converter));
    stream->sound_strand_ = Strand::Create(place.engine->executor());
  }
  if (options.movie) {
    LC_ASSIGN_OR_RETURN(stream->movie_, StreamMovie::Create(stream->MovieOptions()));
  }
  stream->record_ = std::make_unique<StreamRecord>(
      *place.records,
      StreamRecord::Facts{stream->avatar(), options.interface, options.live, stream->fps(),
                          session.format.rate_hz, session.format.frame_bytes(), stream->width(),
                          stream->height()});
  return stream;
}

SpeechStream::~SpeechStream() {
  if (!record_) return;  // it was refused
  if (tap_) tap_->OnStreamEnd(status_);
  int64_t unread = unread_;
  for (const auto& out : out_) unread += out->is_kept_frame() ? 1 : 0;
  record_->Closed(status_, unread);
  const auto counts = session().counts();
  SessionUse use;
  use.frames = counts.frames;
  use.generated_frames = counts.generated;
  use.generate_time = session().times().total(Stage::kGenerator);
  lease_.Report(use);
}

audio::AudioFormat SpeechStream::sound_format() const {
  audio::AudioFormat format = options_.session.format;
  if (options_.sound == SoundOut::kPcm16) {
    format.type = audio::SampleType::kS16;
    if (options_.sound_rate_hz != 0) format.rate_hz = options_.sound_rate_hz;
  }
  return format;
}

media::H264StreamOptions SpeechStream::MovieOptions() const {
  media::H264StreamOptions movie;
  movie.width = width();
  movie.height = height();
  movie.fps = fps();
  movie.codec_config = encoder_->codec_config();
  if (options_.sound != SoundOut::kNone) movie.audio = sound_format();
  return movie;
}

void SpeechStream::Start(std::shared_ptr<StreamListener> listener) {
  place_.loop->Post([self = shared_from_this(), listener = std::move(listener)] {
    self->listener_ = listener;
    self->Guard([&] { self->Begin(); });
  });
}

void SpeechStream::Begin() {
  if (ended_) {
    listener_->OnOutput();
    return;
  }
  const TimePoint now = place_.clock->Now();
  last_said_ = now;
  if (options_.limit.count() > 0) {
    place_.loop->At(now + options_.limit, [weak = weak_from_this()] {
      const auto alive = weak.lock();
      if (alive) alive->End(Status(Code::kDeadlineExceeded, "the session's time is over"));
    });
  }
  if (options_.idle_limit.count() > 0) WatchIdle();
  if (auto note = encoder_->note()) Warn(*std::move(note));
  if (movie_) {
    for (const std::string& note : movie_->notes()) Warn(note);
  }
  Pump();
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
    self->Guard([&] { self->WatchArrival(); });
    self->Pump();
  });
}

/// Sound that comes by another clock than its format says is played at the wrong speed: say so.
void SpeechStream::WatchArrival() {
  if (!arrival_ || request_->kind != StreamRequest::Kind::kAudio) return;
  const auto factor = arrival_->Heard(pushed_, request_->audio.size());
  if (!factor) return;
  const auto& format = options_.session.format;
  record_->SoundAtAnotherRate(*factor);
  Warn(fmt::format(
      "the sound comes at {:.2f} times the rate of its format ({} Hz, {} channel{}): are "
      "rate and channels right?",
      *factor, format.rate_hz, format.channels, format.channels == 1 ? "" : "s"));
}

void SpeechStream::Cancel(Status why) {
  place_.loop->Post(
      [self = shared_from_this(), why = std::move(why)]() mutable { self->End(std::move(why)); });
}

Status SpeechStream::status() const {
  const std::lock_guard lock(mu_);
  return status_;
}

bool SpeechStream::over() const {
  const std::lock_guard lock(mu_);
  return over_;
}

bool SpeechStream::tapped() const {
  const std::lock_guard lock(mu_);
  return tap_ && tap_->wants_more();
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
  Guard([this] { Move(); });
}

void SpeechStream::Move() {
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
      const auto rest = BytesOf(request_->audio).subspan(request_at_);
      Result<size_t> taken = live_ ? live_->TryAudio(request_->utterance, rest)
                                   : session_->TryAudio(request_->utterance, rest);
      if (!taken.ok()) return taken.status();
      record_->TookAudio(request_->utterance, *taken, pushed_);
      request_at_ += *taken;
      if (request_at_ == request_->audio.size()) return true;
      if (live_ && !std::exchange(told_full_, true)) {
        Warn(fmt::format(
            "more is said than may wait to be played ({:.0f} s of sound, 64 utterances): what is "
            "sent from now on, a clear too, is read when there is room",
            live_->max_waiting_s()));
      }
      return false;
    }
    case StreamRequest::Kind::kEnd:
      return live_ ? live_->TryEnd(request_->utterance) : session_->TryEnd(request_->utterance);
    case StreamRequest::Kind::kClear:
      return Clear();
    case StreamRequest::Kind::kKeyFrame:
      if (!encoder_->in_order()) {
        if (!MayAnswer()) return false;
        Warn("key_frame: the stream's pictures are all whole");
        return true;
      }
      {
        const std::lock_guard lock(mu_);
        key_frame_wanted_ = true;
      }
      return true;
    case StreamRequest::Kind::kClose:
      if (live_) {
        live_->Close();
        return true;
      }
      return session_->TryFinish();
  }
  return true;
}

Result<bool> SpeechStream::Clear() {
  if (!MayAnswer()) return false;
  const auto point = live_ ? live_->Clear() : session_->Clear();
  if (!point.ok()) return point.status();
  const Cut cut = CutWaiting();
  const pipeline::ClearPoint shown = cut.point.value_or(*point);
  StreamEvent cleared;
  cleared.kind = StreamEvent::Kind::kCleared;
  cleared.request = request_->request;
  cleared.utterance = shown.utterance;
  cleared.played_samples = shown.played_samples;
  Tell(std::move(cleared));
  record_->Cleared(shown, request_->reason, cut.frames, pushed_);
  if (cut.frames > 0) meter_.Restart();  // what is not encoded says nothing of the cost
  return true;
}

/// True if any event was taken.
bool SpeechStream::TakeEvents() {
  bool any = false;
  while (!ended_) {
    if (!live_) {
      const Unread unread = LookAtUnread();
      if (unread.events >= file_room() || unread.bytes > kMaxUnreadBytes) return any;
    }
    pipeline::Event event;
    const TimePoint now = place_.clock->Now();
    const TimePoint due = live_ ? live_->next_due() : now;
    const auto poll = live_ ? live_->TryNext(now, &event) : session_->TryNext(&event);
    if (!poll.ok()) {
      End(poll.status());
    } else if (*poll == pipeline::Poll::kEnd) {
      End({});
    } else if (*poll == pipeline::Poll::kLater) {
      return any;
    } else {
      Handle(event, due);
      any = true;
    }
  }
  return any;
}

void SpeechStream::Handle(pipeline::Event& event, TimePoint due) {
  if (event.kind == pipeline::Event::Kind::kFrame) {
    HandleFrame(event.frame, due);
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
  if (told.kind == StreamEvent::Kind::kStarted) told.frame = next_frame_;
  if (told.kind == StreamEvent::Kind::kFinished) FinishCut(&told);
  Tell(std::move(told));
}

}  // namespace lipcast::server
