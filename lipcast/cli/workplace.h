#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lipcast/base/clock.h"
#include "lipcast/base/log.h"
#include "lipcast/base/metrics.h"
#include "lipcast/base/status.h"
#include "lipcast/inference/session.h"
#include "lipcast/pipeline/engine.h"

namespace lipcast::cli {

/// Where a bare avatar name is looked up: $LIPCAST_AVATARS (colon-separated), ./avatars, then the
/// folders of an installation and of the build.
std::vector<std::filesystem::path> AvatarRoots();

/// An engine that draws with `backend` and reads frames through libav, JPEG and PNG. All that is
/// given must outlive it.
Result<std::unique_ptr<pipeline::Engine>> MakeEngine(const pipeline::EngineOptions& options,
                                                     const inference::Backend& backend,
                                                     LogSink& log, Metrics& metrics,
                                                     const Clock& clock);

/// What every command that draws builds first, in the order it may be torn down.
struct Workplace {
  SteadyClock clock;
  NullLogSink log;
  NullMetrics metrics;
  std::unique_ptr<inference::Backend> backend;
  std::unique_ptr<pipeline::Engine> engine;

  static Result<std::unique_ptr<Workplace>> Create(const pipeline::EngineOptions& options);
  /// Finds by name or path, then loads.
  Result<std::shared_ptr<const pipeline::LoadedAvatar>> LoadAvatar(const std::string& name) const;
};

}  // namespace lipcast::cli
