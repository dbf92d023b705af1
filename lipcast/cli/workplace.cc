#include "lipcast/cli/workplace.h"

#include <cstdlib>

#include "lipcast/avatar/find_avatar.h"
#include "lipcast/media/image_codec.h"
#include "lipcast/media/video_decoder.h"

namespace lipcast::cli {

std::vector<std::filesystem::path> AvatarRoots() {
  std::vector<std::filesystem::path> roots;
  if (const char* list = std::getenv("LIPCAST_AVATARS"); list != nullptr) {
    std::string_view rest = list;
    while (!rest.empty()) {
      const size_t colon = std::min(rest.find(':'), rest.size());
      if (colon > 0) roots.emplace_back(rest.substr(0, colon));
      rest.remove_prefix(std::min(colon + 1, rest.size()));
    }
  }
  roots.emplace_back("avatars");
  std::error_code error;
  const auto binary = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) roots.push_back(binary.parent_path().parent_path() / "share/lipcast/avatars");
  roots.emplace_back(LIPCAST_BUILD_AVATARS);
  return roots;
}

Result<std::unique_ptr<pipeline::Engine>> MakeEngine(const pipeline::EngineOptions& options,
                                                     const inference::Backend& backend,
                                                     LogSink& log, Metrics& metrics,
                                                     const Clock& clock) {
  pipeline::EngineParts parts;
  parts.backend = &backend;
  parts.codecs = media::MakeFrameCodecs();
  parts.log = &log;
  parts.metrics = &metrics;
  parts.clock = &clock;
  return pipeline::Engine::Create(options, std::move(parts));
}

Result<std::unique_ptr<Workplace>> Workplace::Create(const pipeline::EngineOptions& options) {
  auto place = std::make_unique<Workplace>();
  LC_ASSIGN_OR_RETURN(place->backend, inference::LoadOnnxRuntime());
  LC_ASSIGN_OR_RETURN(place->engine, MakeEngine(options, *place->backend, place->log,
                                                place->metrics, place->clock));
  return place;
}

Result<std::shared_ptr<const pipeline::LoadedAvatar>> Workplace::LoadAvatar(
    const std::string& name) const {
  const auto roots = AvatarRoots();
  LC_ASSIGN_OR_RETURN(const auto path, avatar::FindAvatar(name, roots));
  return engine->LoadAvatar(path);
}

}  // namespace lipcast::cli
