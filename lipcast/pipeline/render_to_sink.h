#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lipcast/audio/audio_reader.h"
#include "lipcast/base/status.h"
#include "lipcast/media/video_sink.h"
#include "lipcast/pipeline/session.h"

namespace lipcast::pipeline {

/// One sound through one session into one sink. All of it is the caller's and outlives the call.
struct RenderTask {
  audio::AudioReader* reader = nullptr;
  Session* session = nullptr;  ///< fresh; `Cancel` ends the render with its status
  media::VideoSink* sink = nullptr;
  /// Asked before each read, on the feeding thread; may wait. False: no more sound.
  std::function<bool()> may_read;
  std::function<void()> stop_waiting;  ///< makes a may_read that waits return
  /// Asked before each frame. True: finish the file with what is in it.
  std::function<bool()> stopped;
  std::function<void(const Frame&)> on_frame;
  /// After each frame: how many there are, and how many there will be, once that is known.
  std::function<void(int64_t frames, std::optional<int64_t> total)> on_progress;
};

enum class RenderPart { kSound, kSession, kSink };

/// What came of it. `failed` says which part `status` is of.
struct RenderOutcome {
  Status status;
  RenderPart failed = RenderPart::kSession;
  bool stopped = false;
  media::SinkReport sink;
  SessionCounts counts;
  std::vector<std::string> warnings;
  std::chrono::nanoseconds wall{0};
};

/// What the sink of such a render is opened with: size, rate and sound from session, avatar,
/// reader.
media::SinkOptions SinkOptionsFor(const SessionOptions& session, const LoadedAvatar& avatar,
                                  const audio::AudioReader& reader);

/// Reads the sound on a thread of its own, writes frames and sound on the caller's, and finishes
/// the sink. The session is cancelled and nobody uses the parts any more when it returns.
RenderOutcome RenderToSink(const RenderTask& task);

}  // namespace lipcast::pipeline
