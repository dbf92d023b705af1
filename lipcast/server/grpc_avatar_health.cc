#include "lipcast/server/grpc_avatar_health.h"

#include <utility>

namespace lipcast::server {

void GrpcAvatarHealth::Start(grpc::HealthCheckServiceInterface& health, AvatarRegistry& avatars) {
  const auto known = avatars.List();
  const std::lock_guard lock(mu_);
  health_ = &health;
  avatars_ = &avatars;
  for (const AvatarEntry& entry : known) Tell(entry.name);
}

void GrpcAvatarHealth::Changed(const std::string& name) {
  const std::lock_guard lock(mu_);
  if (health_ != nullptr) Tell(name);
}

void GrpcAvatarHealth::Drain() {
  const std::lock_guard lock(mu_);
  draining_ = true;
  if (health_ == nullptr) return;
  for (const auto& [name, serving] : told_) Tell(name);
}

void GrpcAvatarHealth::Stop() {
  const std::lock_guard lock(mu_);
  health_ = nullptr;
}

/// Asks under the lock, so that the last word is the newest.
void GrpcAvatarHealth::Tell(const std::string& name) {
  const bool serving = !draining_ && avatars_->IsLoaded(name);
  const auto [said, first] = told_.try_emplace(name, serving);
  if (!first && std::exchange(said->second, serving) == serving) return;
  health_->SetServingStatus("lipcast.v1.Avatar/" + name, serving);
}

}  // namespace lipcast::server
