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

/// A part of a file: the answer to a Range header over `bytes` bytes.
struct ByteRange {
  int code = 200;  ///< 206 for a part, 416 for one that is not there
  uint64_t first = 0, count = 0;
};
/// Only one range of bytes is served; what is no such header is ignored, as RFC 9110 asks.
ByteRange ParseRange(std::string_view header, uint64_t bytes);

}  // namespace lipcast::server
