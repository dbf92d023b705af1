#pragma once

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>

#include "lipcast/server/speech_host.h"
#include "lipcast/v1/lipcast.grpc.pb.h"

namespace lipcast::server {

/// lipcast.v1.Avatars. What loads runs on the host's slow threads.
class GrpcAvatarsService final : public v1::Avatars::CallbackService {
 public:
  explicit GrpcAvatarsService(SpeechHost& host) : host_(host) {}

  grpc::ServerUnaryReactor* ListAvatars(grpc::CallbackServerContext* context,
                                        const v1::ListAvatarsRequest* request,
                                        v1::ListAvatarsResponse* response) override;
  grpc::ServerUnaryReactor* LoadAvatar(grpc::CallbackServerContext* context,
                                       const v1::LoadAvatarRequest* request,
                                       v1::LoadAvatarResponse* response) override;
  grpc::ServerUnaryReactor* UnloadAvatar(grpc::CallbackServerContext* context,
                                         const v1::UnloadAvatarRequest* request,
                                         v1::UnloadAvatarResponse* response) override;
  grpc::ServerUnaryReactor* ReplaceAvatar(grpc::CallbackServerContext* context,
                                          const v1::ReplaceAvatarRequest* request,
                                          v1::ReplaceAvatarResponse* response) override;

 private:
  SpeechHost& host_;
};

struct ServerFacts {
  std::string version, backend, h264_encoder;
  TimePoint started{};
  int64_t upload_bytes = 0;
};

// What the services answer, for HTTP too. Loading and replacing take their time, and probe the
// avatar, so that its first session need not.
v1::ListAvatarsResponse ListOf(SpeechHost& host);
Result<v1::LoadAvatarResponse> LoadAvatar(SpeechHost& host, const std::string& name);
Result<v1::ReplaceAvatarResponse> ReplaceAvatar(SpeechHost& host, const std::string& name);
/// What Server.GetInfo says now.
v1::GetInfoResponse InfoOf(SpeechHost& host, const ServerFacts& facts);

/// lipcast.v1.Server.
class GrpcServerService final : public v1::Server::CallbackService {
 public:
  GrpcServerService(SpeechHost& host, ServerFacts facts) : host_(host), facts_(std::move(facts)) {}

  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const v1::GetInfoRequest* request,
                                    v1::GetInfoResponse* response) override;

 private:
  SpeechHost& host_;
  const ServerFacts facts_;
};

}  // namespace lipcast::server
