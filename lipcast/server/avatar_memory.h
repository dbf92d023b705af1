#pragma once

#include <cstdint>

#include "lipcast/pipeline/loaded_avatar.h"

namespace lipcast::server {

/// What networks keep of avatars' frames: see generator::FeatureCache. All 0 for an avatar whose
/// whole network draws.
struct FeatureUse {
  int64_t held_bytes = 0, budget_bytes = 0;
  int64_t needed_bytes = 0;  ///< to keep every frame

  FeatureUse& operator+=(const FeatureUse& other);
};
FeatureUse FeatureUseOf(const pipeline::LoadedAvatar& loaded);

// Memory of a loaded avatar, now. Thread: any.
int64_t ModelBytes(const pipeline::LoadedAvatar& loaded);  ///< of the files of what draws
/// What is kept of the pictures for the networks: face boxes, and what the image part gave.
int64_t FeatureBytes(const pipeline::LoadedAvatar& loaded);
int64_t FrameBytes(const pipeline::LoadedAvatar& loaded);  ///< decoded frames, and FeatureBytes
int64_t HeldBytes(const pipeline::LoadedAvatar& loaded);   ///< all of it

}  // namespace lipcast::server
