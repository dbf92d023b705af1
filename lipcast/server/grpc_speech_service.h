#pragma once

#include <grpcpp/support/server_callback.h>

#include <string>

#include "lipcast/server/access_control.h"
#include "lipcast/server/grpc_render.h"
#include "lipcast/server/speech_host.h"
#include "lipcast/v1/lipcast.grpc.pb.h"

namespace lipcast::server {

/// lipcast.v1.Speech over gRPC's callback threads; nothing on them waits.
class GrpcSpeechService final : public v1::Speech::CallbackService {
 public:
  GrpcSpeechService(SpeechHost& host, AccessControl& access, int jpeg_quality,
                    const RenderPlace& renders)
      : host_(host), access_(access), jpeg_quality_(jpeg_quality), renders_(renders) {}

  grpc::ServerBidiReactor<v1::SpeakRequest, v1::SpeakResponse>* Speak(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<v1::RenderRequest, v1::RenderResponse>* Render(
      grpc::CallbackServerContext* context) override {
    return AnswerRender(renders_, access_.AllowOpen(AddressOfPeer(context->peer())));
  }

 private:
  SpeechHost& host_;
  AccessControl& access_;
  const int jpeg_quality_;
  const RenderPlace& renders_;
};

}  // namespace lipcast::server
