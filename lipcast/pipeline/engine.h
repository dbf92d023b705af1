#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "lipcast/avatar/avatar.h"
#include "lipcast/avatar/frame_decoder.h"
#include "lipcast/base/clock.h"
#include "lipcast/base/executor.h"
#include "lipcast/base/log.h"
#include "lipcast/base/metrics.h"
#include "lipcast/base/work_timer.h"
#include "lipcast/inference/session.h"
#include "lipcast/pipeline/frame_painter.h"
#include "lipcast/pipeline/loaded_avatar.h"

namespace lipcast::pipeline {

class Session;
struct SessionOptions;

struct EngineOptions {
  int workers = 0;  ///< 0: one per core
  avatar::LoadOptions avatar;
  inference::SessionOptions inference;
  int64_t face_cache_bytes = int64_t{64} << 20;  ///< of each avatar: 760 faces at 168 px
  generator::FeatureCacheOptions features;
  /// Of every avatar; none: what its manifest says.
  std::optional<avatar::GeneratorVariant> variant;
};

/// What main builds and hands down. All must outlive the engine.
struct EngineParts {
  const inference::Backend* backend = nullptr;
  avatar::FrameCodecs codecs;
  LogSink* log = nullptr;
  Metrics* metrics = nullptr;
  const Clock* clock = nullptr;
};

/// Owns the worker threads and loads avatars. Sessions are opened on it and must end before it.
/// Thread: any.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Create(const EngineOptions& options, EngineParts parts);

  /// Reads, checks and warms up an avatar. Takes its time; never on a worker.
  Result<std::shared_ptr<const LoadedAvatar>> LoadAvatar(const std::filesystem::path& path) const;

  /// Opens a stream of one avatar. kInvalidArgument names the option that is wrong.
  Result<std::unique_ptr<Session>> Open(std::shared_ptr<const LoadedAvatar> avatar,
                                        const SessionOptions& options);

  /// Which time is a worker's work for this avatar: its own CPU time where that does all of it;
  /// wall time where other threads or a device work for it.
  WorkClock WorkClockOf(const LoadedAvatar& avatar) const;

  int workers() const { return executor_.workers(); }
  Executor& executor() { return executor_; }
  WorkerScratch& scratch(int worker) { return *scratch_[static_cast<size_t>(worker)]; }
  const EngineParts& parts() const { return parts_; }

 private:
  Engine(const EngineOptions& options, EngineParts parts);

  const EngineOptions options_;
  const EngineParts parts_;
  std::vector<std::unique_ptr<WorkerScratch>> scratch_;
  Executor executor_;  // last: its threads use what stands above
};

}  // namespace lipcast::pipeline
