#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>

#include "lipcast/base/metrics.h"

namespace lipcast::server {

/// Counts every call in requests_total as its status goes out; one that ends without a status
/// counts as CANCELLED. `metrics` outlives the gRPC server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> CountGrpcRequests(
    Metrics& metrics);

}  // namespace lipcast::server
