#pragma once

#include <chrono>
#include <optional>

#include "lipcast/base/status.h"

namespace lipcast::server {

/// When a client that was told `status` should ask again: 1 to 5 s, spread, so that those refused
/// together do not come back together. nullopt where asking again is of no use.
std::optional<std::chrono::seconds> RetryAfter(const Status& status);

}  // namespace lipcast::server
