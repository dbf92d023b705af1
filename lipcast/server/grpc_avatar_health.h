#pragma once

#include <grpcpp/health_check_service_interface.h>

#include <map>
#include <mutex>
#include <string>

#include "lipcast/server/avatar_registry.h"

namespace lipcast::server {

/// grpc.health.v1 of each avatar, as service "lipcast.v1.Avatar/NAME": serving while it is in
/// memory; not serving while it is not, also after a load that failed, and while the server drains.
/// One that no root had when the server began is unknown until it is first asked for.
/// Thread: any. Changed may be called before Start, which tells all.
class GrpcAvatarHealth {
 public:
  void Start(grpc::HealthCheckServiceInterface& health, AvatarRegistry& avatars);
  void Changed(const std::string& name);
  void Drain();
  void Stop();  ///< from now on nobody is told: `health` may go

 private:
  void Tell(const std::string& name);

  std::mutex mu_;
  grpc::HealthCheckServiceInterface* health_ = nullptr;  // guarded by mu_
  AvatarRegistry* avatars_ = nullptr;                    // guarded by mu_
  std::map<std::string, bool> told_;                     // guarded by mu_: what was said last
  bool draining_ = false;                                // guarded by mu_
};

}  // namespace lipcast::server
