#include "lipcast/pipeline/session.h"

#include <algorithm>
#include <cstring>

namespace lipcast::pipeline {
namespace {

constexpr int64_t kMaxStartFrame = (int64_t{1} << 31) - 1;
constexpr int kMaxBatch = 32;

/// Audio held before the writer waits: a second, and what frames on their way still look ahead.
constexpr int64_t kRingSeconds = 4;

/// What a byte of silence is in this format.
std::byte SilenceByte(audio::SampleType type) {
  switch (type) {
    case audio::SampleType::kU8:
      return std::byte{0x80};
    case audio::SampleType::kMulaw:
      return std::byte{0xFF};
    case audio::SampleType::kAlaw:
      return std::byte{0xD5};
    default:
      return std::byte{0};
  }
}

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
  if (fps && (fps->num < fps->den || fps->num > 120 * fps->den || fps->den < 1)) {
    return refuse("fps = " + fps->ToString() + ": want 1..120");
  }
  for (const auto& side : {width, height}) {
    if (side && (*side < 1 || *side > kMaxSidePx)) {
      return refuse("output side = " + std::to_string(*side) + ": want 1..8192");
    }
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
      batch_(DispatchBatch(options, *avatar_,
                           width_ != avatar_->avatar->manifest().width ||
                               height_ != avatar_->avatar->manifest().height)),
      opened_(engine.parts().clock->Now()),
      ring_(RingBytes(options.format)),
      groups_(static_cast<size_t>(engine.workers()) + 2),
      pictures_(PictureBytes(options.pixels, width_, height_)),
      sounds_(SoundBytes(options.format, fps_)) {
  // Room for every worker's group, one being filled, and a few frames for the reader.
  slots_.resize(static_cast<size_t>(batch_) * groups_.size() + 4);
  const auto floats = static_cast<size_t>(avatar_->generator->context().floats());
  for (Group& group : groups_) {
    const auto n = static_cast<size_t>(batch_);
    group.jobs.resize(n);
    group.copies.resize(n);
    group.pictures.resize(n);
    group.contexts.resize(n * floats);
  }
}

Result<std::unique_ptr<Session>> Session::Create(Engine& engine,
                                                 std::shared_ptr<const LoadedAvatar> avatar,
                                                 const SessionOptions& options) {
  LC_RETURN_IF_ERROR(options.Validate());
  std::unique_ptr<Session> session(new Session(engine, std::move(avatar), options));
  TimelineOptions timeline;
  timeline.format = options.format;
  timeline.mel.padding =
      session->avatar_->avatar->manifest().audio.padding == avatar::MelPadding::kReflect
          ? audio::Padding::kReflect
          : audio::Padding::kZero;
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

Status Session::AppendAudio(std::span<const std::byte> bytes, std::unique_lock<std::mutex>& lock) {
  const uint64_t generation = generation_;
  while (!bytes.empty()) {
    room_.wait(lock,
               [&] { return ring_.room() > 0 || !failure_.ok() || generation != generation_; });
    LC_RETURN_IF_ERROR(failure_);
    if (generation != generation_) {  // cleared while waiting: the rest is late audio
      counts_.dropped_bytes += static_cast<int64_t>(bytes.size());
      return {};
    }
    const size_t take = std::min(bytes.size(), ring_.room());
    ring_.Append(bytes.first(take));
    bytes = bytes.subspan(take);
    SchedulePump();
  }
  return {};
}

Status Session::PadToFrameEdge(std::unique_lock<std::mutex>& lock) {
  const int64_t frames = FramesFor(received_samples(), options_.format.rate_hz, fps_);
  const int64_t edge = FrameStartByte(frames);
  // A sample of which only a part came is completed too: its bytes are silence like the rest.
  const std::vector<std::byte> silence(
      static_cast<size_t>(std::max<int64_t>(0, edge - ring_.end())),
      SilenceByte(options_.format.type));
  return AppendAudio(silence, lock);
}

Status Session::Audio(uint64_t utterance, std::span<const std::byte> bytes) {
  std::unique_lock lock(mu_);
  LC_RETURN_IF_ERROR(failure_);
  if (end_sample_) {
    return Status(Code::kFailedPrecondition, "audio after the end of the session");
  }
  if (utterance <= refuse_up_to_) {
    counts_.dropped_bytes += static_cast<int64_t>(bytes.size());
    return {};
  }
  if (utterance < last_id_ || utterance == 0) {
    return Status(Code::kInvalidArgument, "utterance " + std::to_string(utterance) + ": want " +
                                              std::to_string(std::max<uint64_t>(last_id_, 1)) +
                                              " or higher, ids only grow");
  }
  if (utterance > last_id_) {
    if (!utterances_.empty() && !utterances_.back().end_sample) {
      utterances_.back().end_sample = received_samples();
    }
    const uint64_t generation = generation_;
    LC_RETURN_IF_ERROR(PadToFrameEdge(lock));
    if (generation != generation_ && utterance <= refuse_up_to_) return {};
    last_id_ = utterance;
    utterances_.push_back({utterance, FramesFor(received_samples(), options_.format.rate_hz, fps_),
                           std::nullopt, false});
  }
  return AppendAudio(bytes, lock);
}

Status Session::End(uint64_t utterance) {
  std::unique_lock lock(mu_);
  LC_RETURN_IF_ERROR(failure_);
  if (utterance <= refuse_up_to_) return {};
  if (utterance > last_id_) {  // ended before a byte of it came: started and finished, no frame
    lock.unlock();
    LC_RETURN_IF_ERROR(Audio(utterance, {}));
    lock.lock();
  }
  for (Utterance& known : utterances_) {
    if (known.id == utterance && !known.end_sample) known.end_sample = received_samples();
  }
  refuse_up_to_ = std::max(refuse_up_to_, utterance);
  SchedulePump();
  available_.notify_all();
  return {};
}

Status Session::Finish() {
  std::unique_lock lock(mu_);
  LC_RETURN_IF_ERROR(failure_);
  if (end_sample_) return {};
  if (!utterances_.empty() && !utterances_.back().end_sample) {
    utterances_.back().end_sample = received_samples();
  }
  end_sample_ = received_samples();
  if (options_.edges == Edges::kSilence) {
    total_frames_ = FramesFor(*end_sample_, options_.format.rate_hz, fps_);
  }
  SchedulePump();
  available_.notify_all();
  return {};
}

// ---------------------------------------------------------------- from anywhere

Result<ClearPoint> Session::Clear() {
  std::unique_lock lock(mu_);
  LC_RETURN_IF_ERROR(failure_);
  ++generation_;
  ClearPoint point;
  const int64_t position = FirstSample(next_out_, options_.format.rate_hz, fps_);
  for (const Utterance& utterance : utterances_) {
    refuse_up_to_ = std::max(refuse_up_to_, utterance.id);
    const int64_t start = FirstSample(utterance.first_frame, options_.format.rate_hz, fps_);
    if (!utterance.started) {
      Event started;
      started.kind = Event::Kind::kStarted;
      started.utterance = utterance.id;
      notices_.push_back(std::move(started));
    }
    Event finished;
    finished.kind = Event::Kind::kFinished;
    finished.utterance = utterance.id;
    finished.played_samples =
        std::max<int64_t>(0, std::min(position, utterance.end_sample.value_or(position)) - start);
    finished.interrupted = true;
    if (point.utterance == 0) point = {utterance.id, finished.played_samples};
    notices_.push_back(std::move(finished));
  }
  utterances_.clear();
  for (Slot& slot : slots_) {
    slot.state = Slot::State::kEmpty;
    slot.picture = {};
  }
  next_dispatch_ = next_out_;
  ring_.ResetAt(FrameStartByte(next_out_));
  fed_bytes_ = ring_.end();
  if (end_sample_) {
    end_sample_ = received_samples();
    total_frames_ = next_out_;
  }
  restart_ = true;
  SchedulePump();
  room_.notify_all();
  available_.notify_all();
  return point;
}

void Session::Cancel(Status why) {
  std::lock_guard lock(mu_);
  Fail(std::move(why));
}

void Session::Fail(Status why) {
  if (!failure_.ok()) return;
  failure_ = std::move(why);
  ++generation_;
  room_.notify_all();
  available_.notify_all();
}

SessionCounts Session::counts() const {
  std::lock_guard lock(mu_);
  SessionCounts counts = counts_;
  counts.picture_allocations = pictures_.allocations();
  return counts;
}

std::optional<int64_t> Session::total_frames() const {
  std::lock_guard lock(mu_);
  return total_frames_;
}

// ---------------------------------------------------------------- the reader's side

Result<std::optional<Event>> Session::Next() {
  std::unique_lock lock(mu_);
  while (true) {
    if (auto event = TakeEvent()) return event;
    if (!failure_.ok()) return failure_;
    if (total_frames_ && next_out_ >= *total_frames_ && utterances_.empty()) {
      return std::optional<Event>();
    }
    available_.wait(lock);
  }
}

std::optional<Event> Session::TakeEvent() {
  if (!notices_.empty()) {
    std::optional<Event> event(std::move(notices_.front()));
    notices_.pop_front();
    return event;
  }
  if (!failure_.ok()) return std::nullopt;
  if (!utterances_.empty()) {
    Utterance& front = utterances_.front();
    if (!front.started && front.first_frame <= next_out_ &&
        (front.end_sample ||
         slots_[static_cast<size_t>(next_out_) % slots_.size()].state == Slot::State::kDone)) {
      front.started = true;
      Event event;
      event.kind = Event::Kind::kStarted;
      event.utterance = front.id;
      return event;
    }
    const bool over =
        front.started && front.end_sample &&
        (next_out_ >= FramesFor(*front.end_sample, options_.format.rate_hz, fps_) ||
         (total_frames_ && next_out_ >= *total_frames_));  // reference edges end sooner
    if (over) {
      Event event;
      event.kind = Event::Kind::kFinished;
      event.utterance = front.id;
      event.played_samples =
          *front.end_sample - FirstSample(front.first_frame, options_.format.rate_hz, fps_);
      utterances_.erase(utterances_.begin());
      return event;
    }
  }
  if (slots_[static_cast<size_t>(next_out_) % slots_.size()].state != Slot::State::kDone) {
    return std::nullopt;
  }
  return TakeFrame();
}

Event Session::TakeFrame() {
  Slot& slot = slots_[static_cast<size_t>(next_out_) % slots_.size()];
  Event event;
  Frame& frame = event.frame;
  frame.index = next_out_;
  frame.utterance = utterances_.empty() ? 0 : utterances_.front().id;
  frame.speaking = slot.speaking;
  frame.background = slot.background;
  frame.picture_buffer = std::move(slot.picture);
  frame.picture = PackedView(options_.pixels, width_, height_,
                             static_cast<const uint8_t*>(frame.picture_buffer.data()));
  const int64_t begin = FrameStartByte(next_out_);
  const int64_t whole = received_samples() * frame_bytes_;
  const int64_t end = std::min(FrameStartByte(next_out_ + 1), whole);
  frame.sound_buffer = sounds_.Take();
  const auto sound = std::as_writable_bytes(frame.sound_buffer.bytes())
                         .first(static_cast<size_t>(std::max<int64_t>(0, end - begin)));
  ring_.Read(begin, sound);
  frame.sound = sound;
  ring_.DropBefore(std::min(end, fed_bytes_));
  slot.state = Slot::State::kEmpty;
  ++next_out_;
  ++counts_.frames;
  if (frame.speaking) ++counts_.generated;
  room_.notify_all();
  SchedulePump();
  return event;
}

}  // namespace lipcast::pipeline
