#pragma once

#include <vector>

#include "lipcast/server/http_router.h"
#include "lipcast/server/recordings.h"
#include "lipcast/server/speech_host.h"

namespace lipcast::server {

/// /v1/sessions/{id}/recordings and /v1/recordings: begin, poll, stop, download, removal. All that
/// is given outlives them.
std::vector<HttpRoute> RecordingRoutes(SpeechHost& host, Recordings& recordings);

}  // namespace lipcast::server
