#include "lipcast/pipeline/session.h"

#include <algorithm>
#include <cstring>

#include "lipcast/pipeline/utterance.h"

namespace lipcast::pipeline {
namespace {

constexpr int64_t kMaxStartFrame = (int64_t{1} << 31) - 1;
constexpr int kMaxBatch = 32;
constexpr int64_t kMaxFpsTerm = 1'000'000'000;

/// Audio held before the writer waits: the longest frame (1 s), what it looks ahead, and enough for
/// frames on their way.
constexpr int64_t kRingSeconds = 4;

/// Utterances, and notices of them, held before the writer waits.
constexpr size_t kMaxWaitingUtterances = 64;

size_t RingBytes(const audio::AudioFormat& format) {
  return static_cast<size_t>(kRingSeconds * format.rate_hz * format.frame_bytes());
}

/// The longest slice of sound any frame has.
size_t SoundBytes(const audio::AudioFormat& format, const Rational& fps) {
  return static_cast<size_t>((MulDivCeil(format.rate_hz, fps.den, fps.num) + 1) *
                             format.frame_bytes());
}

int DispatchBatch(const SessionOptions& options, const LoadedAvatar& avatar, bool scaled) {
  if (scaled) return 1;
  return std::max(options.batch, static_cast<int>(avatar.generator->preferred_batch()));
}

}  // namespace

Status SessionOptions::Validate() const {
  LC_RETURN_IF_ERROR(format.Validate());
  const auto refuse = [](const std::string& text) { return Status(Code::kInvalidArgument, text); };
  if (start_frame < 0 || start_frame > kMaxStartFrame) {
    return refuse("start_frame = " + std::to_string(start_frame) + ": want 0..2147483647");
  }
  if (batch < 1 || batch > kMaxBatch) {
    return refuse("batch = " + std::to_string(batch) + ": want 1..32");
  }
  if (fps && (fps->den < 1 || fps->den > kMaxFpsTerm || fps->num < fps->den ||
              fps->num > 120 * fps->den)) {
    return refuse("fps = " + fps->ToString() + ": want 1..120");
  }
  if (!(silence_dbfs >= -200.0 && silence_dbfs <= 0.0)) {
    return refuse("silence_dbfs = " + std::to_string(silence_dbfs) + ": want -200..0");
  }
  for (const auto& side : {width, height}) {
    if (side && (*side < 1 || *side > kMaxSidePx)) {
      return refuse("output side = " + std::to_string(*side) + ": want 1..8192");
    }
  }
  if (sound_ahead_samples < 0 || sound_ahead_samples > format.rate_hz) {
    return refuse("sound_ahead_samples = " + std::to_string(sound_ahead_samples) + ": want 0.." +
                  std::to_string(format.rate_hz));
  }
  if (pixels != PixelFormat::kBgr24 && pixels != PixelFormat::kI420) {
    return refuse("output pixels: want bgr24 or i420");
  }
  return {};
}

Session::Session(Engine& engine, std::shared_ptr<const LoadedAvatar> avatar,
                 const SessionOptions& options)
    : engine_(engine),
      avatar_(std::move(avatar)),
      options_(options),
      fps_(options.fps.value_or(avatar_->avatar->manifest().fps)),
      width_(options.width.value_or(avatar_->avatar->manifest().width)),
      height_(options.height.value_or(avatar_->avatar->manifest().height)),
      frame_bytes_(options.format.frame_bytes()),
      ahead_bytes_(options.sound_ahead_samples * frame_bytes_),
      batch_(DispatchBatch(options, *avatar_,
                           width_ != avatar_->avatar->manifest().width ||
                               height_ != avatar_->avatar->manifest().height)),
      work_clock_(engine.WorkClockOf(*avatar_)),
      times_(engine.parts().metrics),
      due_(engine.parts().clock->Now() + (options.yields ? kBehindOthers : Nanoseconds::zero())),
      ring_(RingBytes(options.format)),
      edges_(options.edges),
      groups_(static_cast<size_t>(engine.workers()) + 2),
      pictures_(PictureBytes(options.pixels, width_, height_)),
      sounds_(SoundBytes(options.format, fps_) + static_cast<size_t>(ahead_bytes_)) {
  // Room for every worker's group, one being filled, and a few frames for the reader.
  slots_.resize(static_cast<size_t>(batch_) * groups_.size() + 4);
  const auto floats = static_cast<size_t>(avatar_->generator->context().floats());
  for (Group& group : groups_) {
    const auto n = static_cast<size_t>(batch_);
    group.jobs.resize(n);
    group.copies.resize(n);
    // A model frame is shown in at most ceil(output rate / model rate) output frames.
    const Rational model_fps = avatar_->generator->context().fps;
    group.pictures.reserve(n * static_cast<size_t>(1 + fps_.value() / model_fps.value()));
    group.contexts.resize(n * floats);
  }
}

Result<std::unique_ptr<Session>> Session::Create(Engine& engine,
                                                 std::shared_ptr<const LoadedAvatar> avatar,
                                                 const SessionOptions& options) {
  LC_ENSURE(avatar != nullptr);
  LC_RETURN_IF_ERROR(options.Validate());
  std::unique_ptr<Session> session(new Session(engine, std::move(avatar), options));
  TimelineOptions timeline;
  timeline.format = options.format;
  timeline.mel.padding = session->avatar_->mel_padding();
  timeline.edges = options.edges;
  timeline.idle = options.idle;
  timeline.silence_dbfs = options.silence_dbfs;
  timeline.tap = options.tap;
  LC_ASSIGN_OR_RETURN(
      session->timeline_,
      SpeechTimeline::Create(timeline, session->avatar_->generator, session->times_));
  session->pump_bytes_.resize(session->timeline_->BytesAccepted());
  return session;
}

Session::~Session() {
  Cancel(Status(Code::kCancelled, "the session was closed"));
  std::unique_lock lock(mu_);
  idle_.wait(lock, [&] { return tasks_ == 0; });
}

int64_t Session::FrameStartByte(int64_t frame) const {
  return FirstSample(frame, options_.format.rate_hz, fps_) * frame_bytes_;
}

// ---------------------------------------------------------------- the writer's side

void Session::EndNewest() {
  last_ended_ = true;
  if (utterances_.empty() || utterances_.back().end_sample) return;
  utterances_.back().end_sample = received_samples();
  const int64_t whole = received_samples() * frame_bytes_;
  if (const int64_t part = ring_.end() - whole; part > 0) {
    ring_.DropAfter(whole);
    counts_.dropped_bytes += part;
    Warn("utterance " + std::to_string(utterances_.back().id) + ": the last " +
         std::to_string(part) + " of " + std::to_string(frame_bytes_) +
         " bytes of a sample were dropped");
  }
}

void Session::Warn(std::string message) {
  Event event;
  event.kind = Event::Kind::kWarning;
  event.message = std::move(message);
  notices_.push_back(std::move(event));
  Changed();
}

void Session::Changed() {
  room_.notify_all();
  available_.notify_all();
  if (options_.wake) options_.wake();
}

void Session::Begin(uint64_t utterance) {
  EndNewest();
  const int64_t first_frame = FramesFor(received_samples(), options_.format.rate_hz, fps_);
  utterances_.push_back({utterance, first_frame, std::nullopt, false});
  last_id_ = utterance;
  last_ended_ = false;
  silence_to_ = FrameStartByte(first_frame);
}

/// Whether the newest utterance's audio may follow.
bool Session::FillToFrameEdge() {
  const auto missing = static_cast<size_t>(std::max<int64_t>(0, silence_to_ - ring_.end()));
  ring_.Fill(audio::SilenceByte(options_.format.type), std::min(missing, ring_.room()));
  return ring_.end() >= silence_to_;
}

Result<size_t> Session::TakeAudio(uint64_t utterance, std::span<const std::byte> bytes) {
  LC_RETURN_IF_ERROR(failure_);
  const bool full = utterances_.size() + notices_.size() > kMaxWaitingUtterances;
  if (utterance != 0 && utterance <= cleared_up_to_) {
    if (full) return 0;
    counts_.dropped_bytes += static_cast<int64_t>(bytes.size());
    return bytes.size();
  }
  LC_RETURN_IF_ERROR(CheckUtterance(utterance, last_id_, last_ended_, end_sample_.has_value()));
  if (full) {
    waiting_id_ = utterance;
    return 0;
  }
  if (utterance > last_id_) Begin(utterance);
  if (!FillToFrameEdge()) return 0;
  const size_t take = std::min(bytes.size(), ring_.room());
  ring_.Append(bytes.first(take));
  if (ahead_bytes_ > 0) available_.notify_all();
  SchedulePump();
  return take;
}

Status Session::Audio(uint64_t utterance, std::span<const std::byte> bytes) {
  std::unique_lock lock(mu_);
  while (true) {
    LC_ASSIGN_OR_RETURN(const size_t taken, TakeAudio(utterance, bytes));
    bytes = bytes.subspan(taken);
    if (bytes.empty() && CanEnd(utterance)) return {};
    room_.wait(lock);
  }
}

Result<size_t> Session::TryAudio(uint64_t utterance, std::span<const std::byte> bytes) {
  const std::lock_guard lock(mu_);
  return TakeAudio(utterance, bytes);
}

/// Whether what came before the utterance, silence and waiting utterances, leaves it room.
bool Session::CanEnd(uint64_t utterance) const {
  return utterances_.size() + notices_.size() <= kMaxWaitingUtterances &&
         (utterance <= cleared_up_to_ || (utterance <= last_id_ && ring_.end() >= silence_to_));
}

Status Session::End(uint64_t utterance) {
  while (true) {
    LC_ASSIGN_OR_RETURN(const bool ended, TryEnd(utterance));
    if (ended) return {};
    LC_RETURN_IF_ERROR(Audio(utterance, {}));
  }
}

Result<bool> Session::TryEnd(uint64_t utterance) {
  const std::lock_guard lock(mu_);
  LC_RETURN_IF_ERROR(failure_);
  if (utterance != 0 && utterance <= cleared_up_to_) return true;
  if (utterance == 0 || utterance > last_id_ || !CanEnd(utterance)) {
    LC_RETURN_IF_ERROR(TakeAudio(utterance, {}).status());  // ended before a byte: no frame
    if (!CanEnd(utterance)) return false;
  }
  if (utterance != last_id_) return true;
  EndNewest();
  SchedulePump();
  Changed();
  return true;
}

Status Session::Finish() {
  LC_ASSIGN_OR_RETURN(const bool finished, TryFinish());
  if (finished) return {};
  return Status(Code::kFailedPrecondition, "the end of the session: audio is still waiting");
}

Result<bool> Session::TryFinish() {
  const std::lock_guard lock(mu_);
  LC_RETURN_IF_ERROR(failure_);
  if (end_sample_) return true;
  if (last_id_ > cleared_up_to_ && !FillToFrameEdge()) {
    SchedulePump();
    return false;
  }
  EndNewest();
  end_sample_ = received_samples();
  if (edges_ == Edges::kSilence) {
    total_frames_ = FramesFor(*end_sample_, options_.format.rate_hz, fps_);
  }
  SchedulePump();
  Changed();
  return true;
}

// ---------------------------------------------------------------- from anywhere

Result<ClearPoint> Session::Clear() {
  std::unique_lock lock(mu_);
  LC_RETURN_IF_ERROR(failure_);
  ClearPoint point;
  const int64_t rate_hz = options_.format.rate_hz;
  const int64_t position = FirstSample(next_out_, rate_hz, fps_);
  for (const Utterance& utterance : utterances_) {
    const int64_t start = FirstSample(utterance.first_frame, rate_hz, fps_);
    const int64_t played =
        std::max<int64_t>(0, std::min(position, utterance.end_sample.value_or(position)) - start);
    const bool interrupted =
        !utterance.end_sample || next_out_ < FramesFor(*utterance.end_sample, rate_hz, fps_);
    if (interrupted && point.utterance == 0) point = {utterance.id, played};
    if (!utterance.started) notices_.push_back(UtteranceEvent(Event::Kind::kStarted, utterance.id));
    notices_.push_back(UtteranceEvent(Event::Kind::kFinished, utterance.id, played, interrupted));
  }
  utterances_.clear();
  if (waiting_id_ > last_id_) {
    notices_.push_back(UtteranceEvent(Event::Kind::kStarted, waiting_id_));
    notices_.push_back(UtteranceEvent(Event::Kind::kFinished, waiting_id_, 0, true));
    if (point.utterance == 0) point = {waiting_id_, 0};
    last_id_ = waiting_id_;
  }
  cleared_up_to_ = last_id_;
  DropDrawn(next_out_);
  ring_.ResetAt(FrameStartByte(next_out_));
  fed_bytes_ = silence_to_ = ring_.end();
  edges_ = Edges::kSilence;
  if (end_sample_) {
    end_sample_ = received_samples();
    total_frames_ = next_out_;
  }
  SchedulePump();
  Changed();
  return point;
}

Status Session::TakeBackUndrawn(uint64_t utterance, int64_t keep) {
  const std::lock_guard lock(mu_);
  LC_RETURN_IF_ERROR(failure_);
  LC_ENSURE(!end_sample_ && edges_ == Edges::kSilence);
  if (utterances_.empty() || utterances_.back().id != utterance) return {};
  int64_t cut = next_out_;
  const int64_t last = std::min(next_dispatch_, next_out_ + keep);
  while (cut < last && SlotOf(cut).state == Slot::State::kDone) ++cut;
  cut = std::max(cut, utterances_.back().first_frame);
  const int64_t cut_byte = FrameStartByte(cut);
  if (ring_.end() <= cut_byte) return {};
  ring_.DropAfter(cut_byte);
  if (fed_bytes_ > cut_byte) {  // the timeline has heard it: it goes back to before
    DropDrawn(std::min(cut, next_dispatch_));
    fed_bytes_ = FrameStartByte(next_dispatch_);
  }
  silence_to_ = cut_byte;
  if (utterances_.back().first_frame >= cut) {
    utterances_.pop_back();
  } else {
    utterances_.back().end_sample = received_samples();
  }
  last_ended_ = true;
  SchedulePump();
  return {};
}

/// What was drawn or is being drawn of `frame` and after it is not wanted; the timeline restarts.
void Session::DropDrawn(int64_t frame) {
  ++generation_;
  for (int64_t i = frame; i < next_dispatch_; ++i) {
    SlotOf(i).state = Slot::State::kEmpty;
    SlotOf(i).picture = {};
  }
  next_dispatch_ = frame;
  restart_ = frame;
}

void Session::Cancel(Status why) {
  std::lock_guard lock(mu_);
  Fail(std::move(why));
}

void Session::Fail(Status why) {
  if (!failure_.ok()) return;
  failure_ = std::move(why);
  ++generation_;
  Changed();
}

SessionCounts Session::counts() const {
  std::lock_guard lock(mu_);
  SessionCounts counts = counts_;
  counts.picture_allocations = pictures_.allocations();
  return counts;
}

int64_t Session::samples_in() const {
  const std::lock_guard lock(mu_);
  return received_samples();
}

std::optional<int64_t> Session::total_frames() const {
  std::lock_guard lock(mu_);
  return total_frames_;
}

}  // namespace lipcast::pipeline
