#pragma once

#include <string_view>
#include <vector>

#include "lipcast/server/grpc_avatars_service.h"
#include "lipcast/server/http_router.h"
#include "lipcast/server/speech_host.h"

namespace lipcast::server {

/// /v1/info and /v1/avatars: what lipcast.v1.Avatars and Server say over gRPC, as the protobuf JSON
/// of the same messages. All that is given outlives them.
std::vector<HttpRoute> AvatarRoutes(SpeechHost& host, const ServerFacts& facts);

/// What openapi.json says: OpenAPI 3.1 of all that HTTP serves.
std::string_view OpenApiDocument();

}  // namespace lipcast::server
