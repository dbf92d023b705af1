#pragma once

#include <vector>

#include "lipcast/server/http_router.h"
#include "lipcast/server/speech_host.h"

namespace lipcast::server {

/// POST /v1/sessions and what one does with such a session: live speech over plain HTTP requests.
/// `host` outlives them.
std::vector<HttpRoute> LiveSessionRoutes(SpeechHost& host, int jpeg_quality);

}  // namespace lipcast::server
