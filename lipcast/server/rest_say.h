#pragma once

#include <optional>
#include <stop_token>
#include <vector>

#include "lipcast/base/executor.h"
#include "lipcast/server/http_router.h"
#include "lipcast/server/text_to_speech.h"

namespace lipcast::server {

/// /v1/say: typed text to a WAV, by the configured program. `thread` outlives the routes; texts
/// wait for it in their order, and above a few are refused. `stop` ends the program that runs.
std::vector<HttpRoute> SayRoutes(std::optional<SayProgram> program, Executor& thread,
                                 std::stop_token stop);

}  // namespace lipcast::server
