#pragma once

#include <grpcpp/support/server_callback.h>

#include <string>

#include "lipcast/server/access_control.h"
#include "lipcast/server/speech_host.h"
#include "lipcast/v1/lipcast.grpc.pb.h"

namespace lipcast::server {

/// lipcast.v1.Speech over gRPC's callback threads; nothing on them waits. Render answers
/// UNIMPLEMENTED.
class GrpcSpeechService final : public v1::Speech::CallbackService {
 public:
  GrpcSpeechService(SpeechHost& host, AccessControl& access, int jpeg_quality)
      : host_(host), access_(access), jpeg_quality_(jpeg_quality) {}

  grpc::ServerBidiReactor<v1::SpeakRequest, v1::SpeakResponse>* Speak(
      grpc::CallbackServerContext* context) override;

 private:
  SpeechHost& host_;
  AccessControl& access_;
  const int jpeg_quality_;
};

}  // namespace lipcast::server
