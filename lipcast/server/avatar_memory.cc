#include "lipcast/server/avatar_memory.h"

#include <string>
#include <vector>

namespace lipcast::server {

FeatureUse& FeatureUse::operator+=(const FeatureUse& other) {
  held_bytes += other.held_bytes;
  budget_bytes += other.budget_bytes;
  needed_bytes += other.needed_bytes;
  return *this;
}

FeatureUse FeatureUseOf(const pipeline::LoadedAvatar& loaded) {
  const auto kept = loaded.generator->feature_stats();
  if (!kept) return {};
  return {kept->bytes_held, kept->budget_bytes, kept->needed_bytes};
}

int64_t ModelBytes(const pipeline::LoadedAvatar& loaded) {
  const avatar::Manifest& manifest = loaded.avatar->manifest();
  const avatar::GeneratorSpec& generator = manifest.generator;
  const bool int8 = loaded.generator->variant() == avatar::GeneratorVariant::kInt8;
  std::vector<std::string> names{manifest.audio.model};
  if (loaded.generator->feature_stats()) {  // in two parts: the whole is not loaded
    names.push_back(int8 ? *generator.int8->image : generator.split->image);
    names.push_back(int8 ? generator.int8->model : generator.split->audio);
  } else {
    names.push_back(int8 ? generator.int8->model : generator.model);
  }
  int64_t bytes = 0;
  for (const std::string& name : names) {
    if (const auto found = manifest.files.find(name); found != manifest.files.end()) {
      bytes += found->second.bytes;
    }
  }
  return bytes;
}

int64_t FeatureBytes(const pipeline::LoadedAvatar& loaded) {
  const auto kept = loaded.generator->feature_stats();
  return loaded.faces->stats().bytes_held + (kept ? kept->bytes_held : 0);
}

int64_t FrameBytes(const pipeline::LoadedAvatar& loaded) {
  return loaded.avatar->frame_stats().bytes_held + FeatureBytes(loaded);
}

int64_t HeldBytes(const pipeline::LoadedAvatar& loaded) {
  return ModelBytes(loaded) + FrameBytes(loaded);
}

}  // namespace lipcast::server
