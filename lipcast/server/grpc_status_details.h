#pragma once

#include <string>

#include "lipcast/base/status.h"

namespace lipcast::server {

/// The bytes of grpc-status-details-bin, a google.rpc.Status: RetryInfo where asking again later is
/// of use, BadRequest where the text begins with a field of the request. Empty where it has
/// neither.
std::string StatusDetails(const Status& status);

}  // namespace lipcast::server
