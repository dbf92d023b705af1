// The worker side of a session: feeds the timeline, hands frames to workers, draws them.

#include <algorithm>
#include <cstring>

#include "lipcast/pipeline/session.h"

namespace lipcast::pipeline {
namespace {

constexpr int kModelRateHz = 16'000;

}  // namespace

TimePoint Session::DueOf(int64_t frame) const {
  return due_ + Nanoseconds(MulDivFloor(frame * fps_.den, 1'000'000'000, fps_.num));
}

void Session::Postpone(Nanoseconds by) {
  std::lock_guard lock(mu_);
  due_ += by;
}

void Session::SchedulePump() {
  if (pump_scheduled_) {
    pump_again_ = true;
    return;
  }
  pump_scheduled_ = true;
  ++tasks_;
  // Live it is no more urgent than the frame it makes ready: what is due before may be another
  // session's. Else it goes before the session's own frames, so that no worker runs dry.
  const TimePoint due = options_.ahead > 0 ? DueOf(next_dispatch_) : due_;
  engine_.executor().Post(due, [this](int) { Pump(); });
}

void Session::Pump() {
  WorkTimer work(work_ns_, work_clock_);
  while (true) {
    Result<bool> moved = Contain([&] { return PumpOnce(); });
    std::unique_lock lock(mu_);
    if (!moved.ok()) Fail(moved.status());
    const bool more = moved.ok() && (*moved || pump_again_) && failure_.ok();
    pump_again_ = false;
    if (more) continue;
    work.Stop();
    pump_scheduled_ = false;
    if (--tasks_ == 0) idle_.notify_all();
    return;
  }
}

Result<bool> Session::PumpOnce() {
  std::optional<int64_t> restart_at;
  int64_t next = 0;
  {
    std::lock_guard lock(mu_);
    if (!failure_.ok()) return false;
    next = next_dispatch_;
    restart_at = std::exchange(restart_, std::nullopt);
  }
  if (restart_at) LC_RETURN_IF_ERROR(RestartTimeline(*restart_at));
  // Frames that left undrawn are not dispatched: what they look at must not fill the timeline.
  timeline_->DropBefore(MapFrame(next, fps_, avatar_->generator->context().fps));
  LC_ASSIGN_OR_RETURN(const bool fed, FeedTimeline());
  LC_ASSIGN_OR_RETURN(const bool finished, FinishTimeline());
  LC_ASSIGN_OR_RETURN(const bool advanced, timeline_->Advance());
  LC_ASSIGN_OR_RETURN(const bool dispatched, Dispatch());
  const bool moved = restart_at.has_value() || fed || finished || advanced || dispatched;
  return moved || PostPartialGroup();
}

Status Session::RestartTimeline(int64_t frame) {
  if (open_group_ != nullptr) {
    std::lock_guard lock(mu_);
    open_group_->busy = false;
    open_group_ = nullptr;
  }
  timeline_finished_ = false;
  return timeline_->Restart(FirstSample(frame, kModelRateHz, fps_));
}

Result<bool> Session::FeedTimeline() {
  std::span<std::byte> bytes;
  {
    std::lock_guard lock(mu_);
    if (restart_) return true;
    const int64_t waiting = ring_.end() - fed_bytes_;
    const auto whole = static_cast<size_t>(waiting / frame_bytes_ * frame_bytes_);
    const auto take = std::min({whole, timeline_->BytesAccepted(), pump_bytes_.size()});
    if (take == 0) return false;
    bytes = std::span(pump_bytes_).first(take);
    ring_.Read(fed_bytes_, bytes);
    fed_bytes_ += static_cast<int64_t>(take);
  }
  LC_RETURN_IF_ERROR(timeline_->Push(bytes));
  if (timeline_->opposite_phase() && !std::exchange(warned_phase_, true)) {
    std::lock_guard lock(mu_);
    Warn("the channels are each other's negative: their mean is silence");
  }
  if (timeline_->non_finite_samples() > 0 && !std::exchange(warned_non_finite_, true)) {
    std::lock_guard lock(mu_);
    Warn("the audio has samples that are NaN or infinite: they count as 0");
  }
  return true;
}

Result<bool> Session::FinishTimeline() {
  if (timeline_finished_) {
    // Reference edges: the number of frames shows only when all of the audio is in.
    const auto frames = timeline_->reference_frames();
    std::lock_guard lock(mu_);
    if (!frames || total_frames_ || restart_) return false;
    total_frames_ = MulDivFloor(*frames * avatar_->generator->context().fps.den, fps_.num,
                                avatar_->generator->context().fps.num * fps_.den);
    Changed();
    return true;
  }
  int64_t model_frames = 0;
  {
    std::lock_guard lock(mu_);
    if (!end_sample_ || restart_) return false;
    if (total_frames_ && next_dispatch_ >= *total_frames_) return false;
    if (fed_bytes_ < received_samples() * frame_bytes_) return false;
    const int64_t frames = FramesFor(*end_sample_, options_.format.rate_hz, fps_);
    if (frames > 0) {
      model_frames = MapFrame(frames - 1, fps_, avatar_->generator->context().fps) + 1;
    }
  }
  timeline_finished_ = true;
  LC_RETURN_IF_ERROR(timeline_->Finish(model_frames));
  return true;
}

Session::Group* Session::FreeGroup() {
  for (Group& group : groups_) {
    if (!group.busy) {
      group.busy = true;
      group.used = 0;
      return &group;
    }
  }
  return nullptr;
}

Result<bool> Session::Dispatch() {
  const auto floats = static_cast<size_t>(avatar_->generator->context().floats());
  const Rational model_fps = avatar_->generator->context().fps;
  const Rational avatar_fps = avatar_->avatar->manifest().fps;
  bool any = false;
  while (true) {
    int64_t index = 0, total = 0, limit = 0;
    uint64_t generation = 0;
    {
      std::lock_guard lock(mu_);
      if (!failure_.ok() || restart_) break;
      // Reference edges: once counted, every frame is ready and only the total says which exist.
      if (timeline_->reference_frames() && !total_frames_) break;
      index = next_dispatch_;
      limit =
          next_out_ + static_cast<int64_t>(options_.ahead > 0 ? static_cast<size_t>(options_.ahead)
                                                              : slots_.size());
      generation = generation_;
      total = total_frames_ ? *total_frames_
                            : FramesFor(received_samples(), options_.format.rate_hz, fps_);
      // Without an end in sight the newest frame may still get more samples.
      if (!total_frames_ && !end_sample_) {
        total = MulDivFloor(received_samples(), fps_.num, options_.format.rate_hz * fps_.den);
      }
    }
    if (index >= total || index >= limit) break;
    const int64_t frame = MapFrame(index, fps_, model_fps);
    if (!timeline_->Ready(frame)) break;
    const auto background_of = [&](int64_t i) {
      return avatar_->avatar->FrameAtStep(options_.start_frame + MapFrame(i, fps_, avatar_fps));
    };
    // Output frames that show the same model frame before the same background are drawn once.
    const int64_t background = background_of(index);
    int count = 1;
    while (index + count < std::min(total, limit) &&
           MapFrame(index + count, fps_, model_fps) == frame &&
           background_of(index + count) == background) {
      ++count;
    }
    if (open_group_ == nullptr) {
      std::lock_guard lock(mu_);
      open_group_ = FreeGroup();
      if (open_group_ == nullptr) break;
      open_group_->generation = generation;
    }
    Group& group = *open_group_;
    const size_t at = group.used;
    PaintJob& job = group.jobs[at];
    job.background = background;
    job.weight = timeline_->Weight(frame);
    const auto context = std::span(group.contexts).subspan(at * floats, floats);
    if (job.weight > 0 || options_.tap != nullptr) {
      LC_RETURN_IF_ERROR(timeline_->FillContext(frame, context));
    }
    job.context = context;
    group.copies[at] = {index, count};
    ++group.used;
    any = true;
    {
      std::lock_guard lock(mu_);
      if (generation_ != generation) continue;  // cleared meanwhile: restart_ ends the loop
      for (int64_t i = std::max(index, next_out_); i < index + count; ++i) {
        SlotOf(i).state = Slot::State::kDrawing;
        SlotOf(i).index = i;
      }
      next_dispatch_ = std::max(next_dispatch_, index + count);
    }
    timeline_->DropBefore(MapFrame(index + count, fps_, model_fps));
    if (group.used == static_cast<size_t>(batch_)) Post(std::exchange(open_group_, nullptr));
  }
  return any;
}

/// A group that cannot grow now waits only while every worker has another one: who holds it back
/// (reader, writer, the audio's end) may be waiting for it.
bool Session::PostPartialGroup() {
  if (open_group_ == nullptr) return false;
  {
    std::lock_guard lock(mu_);
    if (open_group_->generation != generation_ || drawing_ >= engine_.workers()) return false;
  }
  Post(std::exchange(open_group_, nullptr));
  return true;
}

void Session::Post(Group* group) {
  TimePoint deadline;
  {
    std::lock_guard lock(mu_);
    deadline = DueOf(group->copies[0].first);
    ++tasks_;
    ++drawing_;
  }
  engine_.executor().Post(deadline, [this, group](int worker) { Draw(*group, worker); });
}

void Session::Draw(Group& group, int worker) {
  WorkTimer work(work_ns_, work_clock_);
  bool wanted = false;
  {
    std::lock_guard lock(mu_);
    wanted = group.generation == generation_;
  }
  Status status;
  if (wanted) {
    status = Contain([&]() -> Status {
      for (size_t i = 0; i < group.used; ++i) {
        group.pictures.push_back(pictures_.Take());
        group.jobs[i].out = PackedView(options_.pixels, width_, height_, group.pictures[i].data());
      }
      LC_RETURN_IF_ERROR(Paint(*avatar_, std::span(group.jobs).first(group.used),
                               engine_.scratch(worker), times_));
      CopyPictures(group);
      return {};
    });
  }
  int64_t not_finite = 0;
  {
    std::lock_guard lock(mu_);
    if (!status.ok()) Fail(std::move(status));
    if (wanted && group.generation == generation_) {
      size_t copy = group.used;
      for (size_t i = 0; i < group.used; ++i) {
        const PaintJob& job = group.jobs[i];
        if (job.not_finite > 0) not_finite += group.copies[i].count;
        for (int c = 0; c < group.copies[i].count; ++c) {
          Slot& slot = SlotOf(group.copies[i].first + c);
          BufferPool::Buffer& picture = group.pictures[c == 0 ? i : copy++];
          if (slot.index != group.copies[i].first + c || slot.state != Slot::State::kDrawing) {
            continue;  // the reader could not wait for it
          }
          slot.picture = std::move(picture);
          slot.background = job.background;
          slot.speaking = job.generated;
          slot.times = job.times;
          slot.state = Slot::State::kDone;
        }
      }
    }
    counts_.not_finite_frames += not_finite;
  }
  group.pictures.clear();
  if (not_finite > 0) engine_.parts().metrics->Count("not_finite_frames_total", not_finite);
  std::lock_guard lock(mu_);
  work.Stop();
  group.busy = false;
  --drawing_;
  Changed();
  if (failure_.ok()) SchedulePump();
  if (--tasks_ == 0) idle_.notify_all();
}

void Session::CopyPictures(Group& group) {
  for (size_t i = 0; i < group.used; ++i) {
    for (int c = 1; c < group.copies[i].count; ++c) {
      BufferPool::Buffer& copy = group.pictures.emplace_back(pictures_.Take());
      std::memcpy(copy.data(), group.pictures[i].data(), copy.size());
    }
  }
}

}  // namespace lipcast::pipeline
