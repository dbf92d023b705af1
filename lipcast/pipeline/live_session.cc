#include "lipcast/pipeline/live_session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>

#include "lipcast/pipeline/utterance.h"

namespace lipcast::pipeline {
namespace {

/// Audio after a frame's time that it is drawn from, and a little for the resampler.
constexpr int64_t kLookAheadMs = 500;
/// On top of it before an utterance begins: how late the next piece may come.
constexpr int64_t kJitterMs = 80;
/// Frames drawn before they are due, in time: the session holds 4 s.
constexpr double kMaxAheadS = 2.0;
/// What the first frames of speech may take to be drawn, in means of a frame's: its sound is heard
/// as a whole before, and others draw too.
constexpr double kDrawingTimes = 3;
/// For frame 0 to be drawn: what follows may only say "the picture before".
constexpr auto kMaxOpening = std::chrono::seconds(2);
/// Beyond this the program stood still (a suspended machine): the time is skipped, not caught up.
constexpr auto kMaxCatchUp = std::chrono::seconds(5);
/// Utterances said and not finished.
constexpr size_t kMaxUtterances = 64;

}  // namespace

LiveSession::LiveSession(const SessionOptions& options, const LiveOptions& live, TimePoint start)
    : options_(options), live_(live), start_(start), begin_by_(start + kMaxOpening) {}

Result<std::unique_ptr<LiveSession>> LiveSession::Create(Engine& engine,
                                                         std::shared_ptr<const LoadedAvatar> avatar,
                                                         const SessionOptions& options,
                                                         const LiveOptions& live, TimePoint start) {
  if (live.ahead < 1 || live.ahead > 25) {
    return Status(Code::kInvalidArgument, "ahead = " + std::to_string(live.ahead) + ": want 1..25");
  }
  SessionOptions inner = options;
  inner.edges = Edges::kSilence;
  inner.ahead = live.ahead;
  std::unique_ptr<LiveSession> stream(new LiveSession(inner, live, start));
  LC_ASSIGN_OR_RETURN(stream->session_, engine.Open(std::move(avatar), inner));
  stream->session_->Postpone(start - engine.parts().clock->Now());
  const double fps = stream->session_->fps().value();
  stream->ahead_ = std::clamp(static_cast<int>(kMaxAheadS * fps), 1, live.ahead);
  stream->silence_.assign(
      static_cast<size_t>(options.format.rate_hz) / 10 * options.format.frame_bytes(),
      audio::SilenceByte(options.format.type));
  LC_RETURN_IF_ERROR(stream->Feed());
  return stream;
}

TimePoint LiveSession::next_due() const {
  const Rational& fps = session_->fps();
  return start_ + Nanoseconds(MulDivFloor(next_index_ * fps.den, 1'000'000'000, fps.num));
}

int64_t LiveSession::SampleOf(int64_t frame) const {
  return FirstSample(frame, options_.format.rate_hz, session_->fps());
}

// ---------------------------------------------------------------- what the client says

LiveSession::Utterance* LiveSession::Find(uint64_t id) {
  const auto found = std::find_if(utterances_.begin(), utterances_.end(),
                                  [&](const Utterance& one) { return one.id == id; });
  return found == utterances_.end() ? nullptr : &*found;
}

Result<size_t> LiveSession::TryAudio(uint64_t utterance, std::span<const std::byte> bytes) {
  if (utterance != 0 && utterance <= cleared_up_to_) {
    counts_.dropped_bytes += static_cast<int64_t>(bytes.size());
    return bytes.size();
  }
  Utterance* said = Find(last_id_);
  const bool ended = said == nullptr || said->ended;
  LC_RETURN_IF_ERROR(CheckUtterance(utterance, last_id_, ended, closing_));
  if (utterance > last_id_) {
    if (utterances_.size() >= kMaxUtterances) return 0;
    if (!utterances_.empty()) utterances_.back().ended = true;
    said = &utterances_.emplace_back();
    said->id = last_id_ = utterance;
  }
  const auto limit = static_cast<size_t>(live_.max_waiting_s * options_.format.rate_hz) *
                     static_cast<size_t>(frame_bytes());
  const size_t take = std::min(bytes.size(), limit - std::min(limit, waiting_bytes_));
  said->waiting.insert(said->waiting.end(), bytes.begin(),
                       bytes.begin() + static_cast<ptrdiff_t>(take));
  waiting_bytes_ += take;
  LC_RETURN_IF_ERROR(Feed());
  return take;
}

Result<bool> LiveSession::TryEnd(uint64_t utterance) {
  if (utterance != 0 && utterance <= cleared_up_to_) return true;
  if (utterance == 0 || utterance > last_id_) {
    LC_RETURN_IF_ERROR(TryAudio(utterance, {}).status());
    if (utterance > last_id_) return false;
  }
  if (Utterance* said = Find(utterance)) said->ended = true;
  LC_RETURN_IF_ERROR(Feed());
  return true;
}

Result<ClearPoint> LiveSession::Clear() {
  ClearPoint point;
  const int64_t position = SampleOf(next_index_);
  for (const Segment& segment : segments_) {
    if (segment.utterance == 0 || position >= SampleOf(segment.first_frame) + segment.samples) {
      continue;
    }
    const Utterance* said = Find(segment.utterance);
    if (said->cleared) continue;
    point = {segment.utterance,
             said->played_samples + std::max<int64_t>(0, position - SampleOf(segment.first_frame))};
    break;
  }
  LC_RETURN_IF_ERROR(session_->Clear().status());
  for (Utterance& said : utterances_) {
    if (!said.fed && point.utterance == 0) point = {said.id, said.played_samples};
    said.cut_short = said.cut_short || !said.fed;
    said.cleared = said.ended = said.fed = true;
    said.running = false;
    waiting_bytes_ -= said.waiting_bytes();
    said.waiting = {};
    said.waiting_at = 0;
  }
  cleared_up_to_ = last_id_;
  silent_ = false;
  LC_RETURN_IF_ERROR(Feed());
  return point;
}

// ---------------------------------------------------------------- to the session

/// Keeps the session's audio as far ahead as its frames look, with silence where there is no other.
Status LiveSession::Feed() {
  const int64_t rate_hz = options_.format.rate_hz;
  const int64_t target = SampleOf(next_index_ + ahead_) + rate_hz * kLookAheadMs / 1000;
  while (!finished_) {
    Utterance* next = NextToFeed();
    bool playable = false;
    if (next != nullptr) {
      LC_ASSIGN_OR_RETURN(playable, Playable(*next));
    }
    // Speech takes the place of silence that is not drawn yet, so it need not wait for room.
    if (session_->samples_in() >= target && !(silent_ && playable)) return {};
    bool moved = false;
    if (playable) {
      LC_ASSIGN_OR_RETURN(moved, FeedUtterance(*next, target));
    } else if (closing_ && next == nullptr) {
      LC_ASSIGN_OR_RETURN(finished_, session_->TryFinish());
      return {};
    } else {
      LC_ASSIGN_OR_RETURN(moved, FeedSilence(target));
    }
    if (!moved) return {};  // too many events that the reader has not taken
  }
  return {};
}

LiveSession::Utterance* LiveSession::NextToFeed() {
  for (Utterance& said : utterances_) {
    if (!said.fed) return &said;
  }
  return nullptr;
}

/// Whether some of it may go on the stream now. One that ran dry is interrupted by silence.
Result<bool> LiveSession::Playable(Utterance& said) {
  if (closing_) said.ended = true;
  if (said.ended) return true;
  const auto whole = static_cast<int64_t>(said.waiting_bytes()) / frame_bytes();
  if (!said.running) {
    return whole >= SampleOf(ahead_) + options_.format.rate_hz * (kLookAheadMs + kJitterMs) / 1000;
  }
  if (whole > 0) return true;
  LC_ASSIGN_OR_RETURN(const bool ended, session_->TryEnd(segments_.back().id));
  if (!ended) return false;
  said.running = false;
  ++counts_.underruns;
  Event& warning = notices_.emplace_back(UtteranceEvent(Event::Kind::kWarning, said.id));
  warning.message =
      "utterance " + std::to_string(said.id) + ": its audio came too slowly, silence was put in";
  return false;
}

/// How many frames of drawn silence stay before speech: the time to draw its first ones, three
/// times what one has taken so far in this stream. All of it before any was drawn.
int64_t LiveSession::FramesToDrawIn() const {
  const StageTimes& times = std::as_const(*session_).times();
  const int64_t drawn = times.calls(Stage::kGenerator);
  if (drawn == 0) return ahead_;
  const double mean_s = std::chrono::duration<double>(times.total(Stage::kGenerator)).count() /
                        static_cast<double>(drawn);
  const double frames = std::ceil(kDrawingTimes * mean_s * session_->fps().value());
  return static_cast<int64_t>(std::clamp(frames, 1.0, static_cast<double>(ahead_)));
}

Status LiveSession::BeginSegment(uint64_t utterance) {
  if (std::exchange(silent_, utterance == 0)) {
    LC_RETURN_IF_ERROR(session_->TakeBackUndrawn(segments_.back().id, FramesToDrawIn()));
    if (SampleOf(segments_.back().first_frame) >= session_->samples_in()) segments_.pop_back();
  }
  const int64_t first = FramesFor(session_->samples_in(), options_.format.rate_hz, session_->fps());
  segments_.push_back({next_segment_++, utterance, first, 0});
  return {};
}

Result<bool> LiveSession::FeedUtterance(Utterance& said, int64_t target) {
  if (!said.running) {
    LC_RETURN_IF_ERROR(BeginSegment(said.id));
    said.running = true;
    ++said.segments;
  }
  Segment& segment = segments_.back();
  const int64_t missing = std::max<int64_t>(0, target - session_->samples_in());
  size_t bytes = static_cast<size_t>(missing * frame_bytes());
  if (bytes >= said.waiting_bytes()) {
    bytes = said.waiting_bytes();
    if (!said.ended) bytes = bytes / static_cast<size_t>(frame_bytes()) * frame_bytes();
  }
  const auto piece = std::span(said.waiting).subspan(said.waiting_at, bytes);
  LC_ASSIGN_OR_RETURN(const size_t taken, session_->TryAudio(segment.id, piece));
  said.waiting_at += taken;
  waiting_bytes_ -= taken;
  segment.samples += static_cast<int64_t>(taken) / frame_bytes();
  if (said.waiting_at > said.waiting.size() / 2) {
    said.waiting.erase(said.waiting.begin(),
                       said.waiting.begin() + static_cast<ptrdiff_t>(said.waiting_at));
    said.waiting_at = 0;
  }
  if (!said.ended || said.waiting_bytes() > 0) return taken > 0;
  LC_ASSIGN_OR_RETURN(const bool ended, session_->TryEnd(segment.id));
  if (!ended) return false;
  said.running = false;
  said.fed = true;
  return true;
}

Result<bool> LiveSession::FeedSilence(int64_t target) {
  if (!silent_) LC_RETURN_IF_ERROR(BeginSegment(0));
  Segment& segment = segments_.back();
  const int64_t missing = std::max<int64_t>(0, target - session_->samples_in());
  const size_t bytes = std::min(static_cast<size_t>(missing * frame_bytes()), silence_.size());
  LC_ASSIGN_OR_RETURN(const size_t taken,
                      session_->TryAudio(segment.id, std::span(silence_).first(bytes)));
  segment.samples += static_cast<int64_t>(taken) / frame_bytes();
  return taken > 0;
}

// ---------------------------------------------------------------- to the client

Result<Poll> LiveSession::TryNext(TimePoint now, Event* event) {
  if (!notices_.empty()) {
    *event = std::move(notices_.front());
    notices_.pop_front();
    return Poll::kEvent;
  }
  if (TakeCleared(event)) return Poll::kEvent;
  if (now < next_due()) return Poll::kLater;
  SkipLostTime(now);
  LC_RETURN_IF_ERROR(Feed());
  while (true) {
    const bool opening = next_index_ == 0 && now < begin_by_;
    LC_ASSIGN_OR_RETURN(const Poll poll, session_->TryNext(event, !opening));
    if (opening && poll == Poll::kLater) WaitAFrame();
    if (poll != Poll::kEvent) return poll;
    if (Translate(event)) {
      LC_RETURN_IF_ERROR(Feed());
      return Poll::kEvent;
    }
  }
}

/// Started and finished of what was cleared before, or between, its runs on the stream.
bool LiveSession::TakeCleared(Event* event) {
  if (utterances_.empty()) return false;
  Utterance& said = utterances_.front();
  if (!said.cleared || said.segments > 0) return false;
  if (!std::exchange(said.started, true)) {
    *event = UtteranceEvent(Event::Kind::kStarted, said.id);
    return true;
  }
  *event = UtteranceEvent(Event::Kind::kFinished, said.id);
  event->played_samples = said.played_samples;
  event->interrupted = true;
  utterances_.pop_front();
  return true;
}

void LiveSession::SkipLostTime(TimePoint now) {
  const Nanoseconds behind = now - next_due();
  if (behind <= kMaxCatchUp) return;
  const Rational& fps = session_->fps();
  start_ += behind;
  session_->Postpone(behind);  // or its work would go before everybody else's from now on
  counts_.skipped += MulDivFloor(behind.count(), fps.num, fps.den * 1'000'000'000);
}

void LiveSession::WaitAFrame() {
  const Rational& fps = session_->fps();
  const Nanoseconds frame(MulDivCeil(fps.den, 1'000'000'000, fps.num));
  start_ += frame;
  session_->Postpone(frame);
}

void LiveSession::WatchPictures(bool drawn) {
  const auto second = static_cast<int64_t>(std::ceil(session_->fps().value()));
  const int64_t stood = undrawn_;
  undrawn_ = drawn ? 0 : stood + 1;
  if (!drawn) ++counts_.late;
  std::string message;
  if (undrawn_ == second) {
    ++counts_.stalls;
    message = "no picture was drawn for a second: the last one stays, the sound goes on";
  } else if (drawn && stood >= second) {
    message = "pictures again, after " + std::to_string(stood) + " frames without";
  }
  if (message.empty()) return;
  notices_.push_back(UtteranceEvent(Event::Kind::kWarning, 0));
  notices_.back().message = std::move(message);
}

/// From the session's segments to the client's utterances. False: not the client's business.
bool LiveSession::Translate(Event* event) {
  const auto client_id = [&](uint64_t id) -> uint64_t {
    for (const Segment& segment : segments_) {
      if (segment.id == id) return segment.utterance;
    }
    return 0;
  };
  switch (event->kind) {
    case Event::Kind::kFrame:
      event->frame.utterance = client_id(event->frame.utterance);
      if (const Utterance* said = Find(event->frame.utterance)) {
        event->frame.played_samples += said->played_samples;
      } else {
        event->frame.played_samples = 0;  // silence
      }
      ++next_index_;
      WatchPictures(event->frame.drawn);
      return true;
    case Event::Kind::kStarted: {
      Utterance* said = Find(client_id(event->utterance));
      if (said == nullptr || std::exchange(said->started, true)) return false;
      event->utterance = said->id;
      return true;
    }
    case Event::Kind::kFinished:
      return TranslateFinished(event);
    case Event::Kind::kWarning:
      break;
  }
  return true;
}

bool LiveSession::TranslateFinished(Event* event) {
  const auto segment = std::find_if(segments_.begin(), segments_.end(),
                                    [&](const Segment& one) { return one.id == event->utterance; });
  if (segment == segments_.end()) return false;
  Utterance* said = Find(segment->utterance);
  segments_.erase(segment);
  if (said == nullptr) return false;
  said->played_samples += event->played_samples;
  if (--said->segments > 0 || !said->fed) return false;
  event->utterance = said->id;
  event->played_samples = said->played_samples;
  event->interrupted = event->interrupted || said->cut_short;
  std::erase_if(utterances_, [&](const Utterance& one) { return one.id == event->utterance; });
  return true;
}

}  // namespace lipcast::pipeline
