#include "lipcast/server/grpc_avatars_service.h"

#include <google/protobuf/util/time_util.h>

#include "lipcast/server/grpc_answer.h"

namespace lipcast::server {

namespace {

/// As it is now, and probed unless it was unloaded meanwhile.
Result<v1::Avatar> ProbedAvatar(SpeechHost& host, const std::string& name) {
  LC_ASSIGN_OR_RETURN(const AvatarEntry entry, host.parts().avatars->Get(name));
  if (entry.avatar) {
    LC_RETURN_IF_ERROR(host.StartCost(name, entry.avatar, StreamOptions{}).status());
  }
  return ToWire(entry);
}

}  // namespace

v1::ListAvatarsResponse ListOf(SpeechHost& host) {
  v1::ListAvatarsResponse response;
  for (const AvatarEntry& entry : host.parts().avatars->List()) {
    *response.add_avatars() = ToWire(entry);
  }
  return response;
}

Result<v1::LoadAvatarResponse> LoadAvatar(SpeechHost& host, const std::string& name) {
  v1::LoadAvatarResponse response;
  LC_ASSIGN_OR_RETURN(const bool was_loaded, host.parts().avatars->Load(name));
  LC_ASSIGN_OR_RETURN(*response.mutable_avatar(), ProbedAvatar(host, name));
  response.set_was_loaded(was_loaded);
  return response;
}

Result<v1::ReplaceAvatarResponse> ReplaceAvatar(SpeechHost& host, const std::string& name) {
  v1::ReplaceAvatarResponse response;
  LC_RETURN_IF_ERROR(host.parts().avatars->Replace(name));
  LC_ASSIGN_OR_RETURN(*response.mutable_avatar(), ProbedAvatar(host, name));
  return response;
}

grpc::ServerUnaryReactor* GrpcAvatarsService::ListAvatars(grpc::CallbackServerContext* context,
                                                          const v1::ListAvatarsRequest*,
                                                          v1::ListAvatarsResponse* response) {
  return AnswerOn(host_.slow(), context, [this, response]() -> Status {
    *response = ListOf(host_);
    return {};
  });
}

grpc::ServerUnaryReactor* GrpcAvatarsService::LoadAvatar(grpc::CallbackServerContext* context,
                                                         const v1::LoadAvatarRequest* request,
                                                         v1::LoadAvatarResponse* response) {
  return AnswerOn(host_.opening(request->name()), context, [this, request, response]() -> Status {
    LC_ASSIGN_OR_RETURN(*response, server::LoadAvatar(host_, request->name()));
    return {};
  });
}

grpc::ServerUnaryReactor* GrpcAvatarsService::UnloadAvatar(grpc::CallbackServerContext* context,
                                                           const v1::UnloadAvatarRequest* request,
                                                           v1::UnloadAvatarResponse*) {
  return AnswerOn(host_.slow(), context,
                  [this, request] { return host_.parts().avatars->Unload(request->name()); });
}

grpc::ServerUnaryReactor* GrpcAvatarsService::ReplaceAvatar(grpc::CallbackServerContext* context,
                                                            const v1::ReplaceAvatarRequest* request,
                                                            v1::ReplaceAvatarResponse* response) {
  return AnswerOn(host_.loading(), context, [this, request, response]() -> Status {
    LC_ASSIGN_OR_RETURN(*response, server::ReplaceAvatar(host_, request->name()));
    return {};
  });
}

v1::GetInfoResponse InfoOf(SpeechHost& host, const ServerFacts& facts) {
  v1::GetInfoResponse info;
  const CapacityReport report = host.parts().admission->report();
  info.set_version(facts.version);
  info.set_backend(facts.backend);
  info.set_h264_encoder(facts.h264_encoder);
  for (const auto provider : host.parts().engine->parts().backend->available_providers()) {
    info.add_providers(inference::ProviderName(provider));
  }
  info.set_workers(host.parts().engine->workers());
  info.set_draining(host.parts().admission->draining());
  info.set_upload_bytes(facts.upload_bytes);
  *info.mutable_uptime() = google::protobuf::util::TimeUtil::SecondsToDuration(
      std::chrono::duration_cast<std::chrono::seconds>(host.parts().clock->Now() - facts.started)
          .count());
  const FeatureUse use = host.parts().avatars->features();
  v1::FeatureMemory& features = *info.mutable_features();
  features.set_held_bytes(use.held_bytes);
  features.set_budget_bytes(use.budget_bytes);
  features.set_needed_bytes(use.needed_bytes);
  v1::Capacity& capacity = *info.mutable_capacity();
  capacity.set_sessions(report.sessions);
  capacity.set_session_limit(report.max_sessions);
  capacity.set_load(report.load);
  capacity.set_headroom(report.headroom);
  capacity.set_generate_ms(host.FrameSeconds() * 1e3);
  return info;
}

grpc::ServerUnaryReactor* GrpcServerService::GetInfo(grpc::CallbackServerContext* context,
                                                     const v1::GetInfoRequest*,
                                                     v1::GetInfoResponse* response) {
  *response = InfoOf(host_, facts_);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace lipcast::server
