#pragma once

#include <string>

#include "lipcast/base/status.h"

namespace lipcast::server {

/// The bytes of grpc-status-details-bin, a google.rpc.Status: ErrorInfo with the reason
/// (refusal.h), RetryInfo where asking again later is of use, BadRequest where the text begins with
/// a field of the request. Empty of an OK status.
std::string StatusDetails(const Status& status);

}  // namespace lipcast::server
