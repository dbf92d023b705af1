#pragma once

#include <optional>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/executor.h"
#include "lipcast/server/http_router.h"
#include "lipcast/server/render_jobs.h"

namespace lipcast::server {

/// /v1/renders: upload, list, poll, events, download, removal. All that is given outlives them.
std::vector<HttpRoute> RenderRoutes(RenderJobs& jobs, Executor& slow);

/// Of the raw PCM that rate, channels and sample_type in the query tell of; none without rate.
Result<std::optional<audio::AudioFormat>> RawFormatOf(const HttpTarget& target);

}  // namespace lipcast::server
