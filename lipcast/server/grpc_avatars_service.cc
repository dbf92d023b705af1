#include "lipcast/server/grpc_avatars_service.h"

#include <google/protobuf/util/time_util.h>

#include "lipcast/server/grpc_answer.h"

namespace lipcast::server {

grpc::ServerUnaryReactor* GrpcAvatarsService::ListAvatars(grpc::CallbackServerContext* context,
                                                          const v1::ListAvatarsRequest*,
                                                          v1::ListAvatarsResponse* response) {
  return AnswerOn(host_.slow(), context, [this, response]() -> Status {
    for (const AvatarEntry& entry : host_.parts().avatars->List()) {
      *response->add_avatars() = ToWire(entry);
    }
    return {};
  });
}

Status GrpcAvatarsService::Probe(const AvatarEntry& entry) {
  if (!entry.avatar) return {};  // unloaded meanwhile
  return host_.StartCost(entry.name, entry.avatar, StreamOptions{}).status();
}

grpc::ServerUnaryReactor* GrpcAvatarsService::LoadAvatar(grpc::CallbackServerContext* context,
                                                         const v1::LoadAvatarRequest* request,
                                                         v1::LoadAvatarResponse* response) {
  return AnswerOn(host_.slow(), context, [this, request, response]() -> Status {
    LC_ASSIGN_OR_RETURN(const bool was_loaded, host_.parts().avatars->Load(request->name()));
    LC_ASSIGN_OR_RETURN(const AvatarEntry entry, host_.parts().avatars->Get(request->name()));
    LC_RETURN_IF_ERROR(Probe(entry));
    response->set_was_loaded(was_loaded);
    *response->mutable_avatar() = ToWire(entry);
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
  return AnswerOn(host_.slow(), context, [this, request, response]() -> Status {
    LC_RETURN_IF_ERROR(host_.parts().avatars->Replace(request->name()));
    LC_ASSIGN_OR_RETURN(const AvatarEntry entry, host_.parts().avatars->Get(request->name()));
    LC_RETURN_IF_ERROR(Probe(entry));
    *response->mutable_avatar() = ToWire(entry);
    return {};
  });
}

grpc::ServerUnaryReactor* GrpcServerService::GetInfo(grpc::CallbackServerContext* context,
                                                     const v1::GetInfoRequest*,
                                                     v1::GetInfoResponse* response) {
  const CapacityReport report = host_.parts().admission->report();
  response->set_version(facts_.version);
  response->set_backend(facts_.backend);
  response->set_h264_encoder(facts_.h264_encoder);
  for (const auto provider : host_.parts().engine->parts().backend->available_providers()) {
    response->add_providers(inference::ProviderName(provider));
  }
  response->set_workers(host_.parts().engine->workers());
  response->set_draining(host_.parts().admission->draining());
  *response->mutable_uptime() = google::protobuf::util::TimeUtil::SecondsToDuration(
      std::chrono::duration_cast<std::chrono::seconds>(host_.parts().clock->Now() - facts_.started)
          .count());
  v1::Capacity& capacity = *response->mutable_capacity();
  capacity.set_sessions(report.sessions);
  capacity.set_session_limit(report.max_sessions);
  capacity.set_load(report.load);
  capacity.set_headroom(report.headroom);
  capacity.set_generate_ms(host_.FrameSeconds() * 1e3);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace lipcast::server
