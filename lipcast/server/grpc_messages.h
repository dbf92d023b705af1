#pragma once

#include <grpcpp/support/status.h>

#include "lipcast/base/status.h"
#include "lipcast/server/avatar_registry.h"
#include "lipcast/server/speech_stream.h"
#include "lipcast/v1/lipcast.pb.h"

namespace lipcast::server {

// Between the wire and the server's own types. Any thread; nothing is kept.

/// kInvalidArgument names the field: "open.video.width = -1: want 0..8192".
Result<StreamOptions> FromWire(const v1::OpenSession& open, int default_jpeg_quality);
/// kInvalidArgument for an empty request or a second open.
Result<StreamRequest> FromWire(v1::SpeakRequest&& request);
/// Moves the picture and the sound over.
void ToWire(StreamEvent&& event, const Rational& fps, v1::SpeakResponse* response);
/// With a session id of its own, "s1", "s2", ..: for logs and for people.
v1::Opened OpenedOf(const SpeechStream& stream);
v1::Avatar ToWire(const AvatarEntry& entry);
grpc::Status ToWire(const Status& status);

}  // namespace lipcast::server
