#include "lipcast/pipeline/render_to_sink.h"

#include <cstddef>
#include <thread>
#include <utility>

namespace lipcast::pipeline {
namespace {

constexpr size_t kReadBytes = 64 << 10;

/// Until the sound ends, fails or is told to stop. Returns the reader's failure; the session's own
/// shows at its reader.
Status Feed(const RenderTask& task) {
  Session& session = *task.session;
  std::vector<std::byte> buffer(kReadBytes);
  while (!task.may_read || task.may_read()) {
    size_t bytes = 0;
    {
      const StageTimer timer(session.times(), Stage::kDecode);
      LC_ASSIGN_OR_RETURN(bytes, task.reader->Read(buffer));
    }
    if (bytes == 0) break;
    if (!session.Audio(1, std::span(buffer).first(bytes)).ok()) return {};
  }
  if (!session.End(1).ok()) return {};
  return session.Finish();
}

Status WriteFrame(const RenderTask& task, const Frame& frame) {
  {
    const StageTimer timer(task.session->times(), Stage::kEncode);
    LC_RETURN_IF_ERROR(task.sink->WriteFrame(frame.picture));
  }
  const StageTimer timer(task.session->times(), Stage::kMux);
  return task.sink->WriteAudio(frame.sound);
}

/// `outcome->failed` says which part the status is of.
Status Drain(const RenderTask& task, std::optional<int64_t> expected, RenderOutcome* outcome) {
  Session& session = *task.session;
  while (!(outcome->stopped = task.stopped && task.stopped())) {
    LC_ASSIGN_OR_RETURN(std::optional<Event> event, session.Next());
    if (!event) break;
    if (event->kind == Event::Kind::kWarning) {
      outcome->warnings.push_back(std::move(event->message));
    }
    if (event->kind != Event::Kind::kFrame) continue;
    const Frame& frame = event->frame;
    if (task.on_frame) task.on_frame(frame);
    if (Status written = WriteFrame(task, frame); !written.ok()) {
      outcome->failed = RenderPart::kSink;
      return written;
    }
    if (task.on_progress) {
      const auto total = session.total_frames();
      task.on_progress(frame.index + 1, total ? total : expected);
    }
  }
  const StageTimer timer(session.times(), Stage::kMux);
  auto finished = task.sink->Finish();
  if (!finished.ok()) {
    outcome->failed = RenderPart::kSink;
    return finished.status();
  }
  outcome->sink = *std::move(finished);
  return {};
}

}  // namespace

media::SinkOptions SinkOptionsFor(const SessionOptions& session, const LoadedAvatar& avatar,
                                  const audio::AudioReader& reader) {
  const avatar::Manifest& manifest = avatar.avatar->manifest();
  media::SinkOptions options;
  options.fps = session.fps.value_or(manifest.fps);
  options.width = session.width.value_or(manifest.width);
  options.height = session.height.value_or(manifest.height);
  options.audio = reader.format();
  options.audio_samples = reader.total_samples();
  return options;
}

RenderOutcome RenderToSink(const RenderTask& task) {
  const auto start = std::chrono::steady_clock::now();
  RenderOutcome outcome;
  std::optional<int64_t> expected;
  if (const auto samples = task.reader->total_samples()) {
    expected = FramesFor(*samples, task.reader->format().rate_hz, task.session->fps());
  }
  Status fed;
  std::thread feeder([&] {
    fed = Contain([&] { return Feed(task); });
    if (!fed.ok()) task.session->Cancel(fed);
  });
  // The feeder must be joined whatever a sink or a callback throws.
  outcome.status = Contain([&] { return Drain(task, expected, &outcome); });
  task.session->Cancel(Status(Code::kCancelled, "the render ended"));
  if (task.stop_waiting) task.stop_waiting();
  feeder.join();
  outcome.wall = std::chrono::steady_clock::now() - start;
  outcome.counts = task.session->counts();
  if (!outcome.status.ok()) {
    if (outcome.failed != RenderPart::kSink && !fed.ok()) outcome.failed = RenderPart::kSound;
    return outcome;
  }
  for (const std::string& warning : task.reader->warnings()) outcome.warnings.push_back(warning);
  for (const std::string& note : outcome.sink.notes) outcome.warnings.push_back(note);
  if (const int64_t frames = outcome.counts.not_finite_frames; frames > 0) {
    outcome.warnings.push_back("the model gave NaN or Inf in " + std::to_string(frames) +
                               " frames; they show the source picture");
  }
  return outcome;
}

}  // namespace lipcast::pipeline
