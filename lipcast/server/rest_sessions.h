#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lipcast/server/http_router.h"
#include "lipcast/server/speech_host.h"

namespace lipcast::server {

/// /v1/sessions: the open sessions of every protocol, and their end. `host` outlives them.
std::vector<HttpRoute> SessionRoutes(SpeechHost& host);

/// The open session of that id, or kNotFound.
Result<std::shared_ptr<SpeechStream>> FindSession(const SpeechHost& host, const std::string& id);

}  // namespace lipcast::server
