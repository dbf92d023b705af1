#pragma once

#include <vector>

#include "lipcast/server/http_router.h"
#include "lipcast/server/recent_log.h"

namespace lipcast::server {

/// /v1/log: the latest warnings and errors, the latest first. `log` outlives them.
std::vector<HttpRoute> LogRoutes(const RecentLog& log);

}  // namespace lipcast::server
