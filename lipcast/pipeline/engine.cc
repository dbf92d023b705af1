#include "lipcast/pipeline/engine.h"

#include <algorithm>
#include <optional>
#include <string>
#include <thread>

#include "lipcast/pipeline/session.h"

namespace lipcast::pipeline {
namespace {

constexpr int kMaxWorkers = 256;

int WorkerCount(int wanted) {
  if (wanted > 0) return wanted;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

Engine::Engine(const EngineOptions& options, EngineParts parts)
    : options_(options),
      parts_(std::move(parts)),
      executor_(WorkerCount(options.workers), [this](const char* what) {
        parts_.metrics->Count("escaped_exceptions_total", 1);
        parts_.log->Log(LogLevel::kError, "task_threw", {{"what", what}});
      }) {}

Result<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options, EngineParts parts) {
  if (options.workers < 0 || options.workers > kMaxWorkers) {
    return Status(Code::kInvalidArgument,
                  "workers = " + std::to_string(options.workers) + ": want 0..256 (0: one a core)");
  }
  LC_ENSURE(parts.backend && parts.log && parts.metrics && parts.clock);
  std::unique_ptr<Engine> engine(new Engine(options, std::move(parts)));
  for (int i = 0; i < engine->workers(); ++i) {
    engine->scratch_.push_back(std::make_unique<WorkerScratch>());
  }
  return engine;
}

Result<std::shared_ptr<const LoadedAvatar>> Engine::LoadAvatar(
    const std::filesystem::path& path) const {
  return LoadedAvatar::Load(path, parts_.codecs, options_.avatar, *parts_.backend,
                            options_.inference, options_.features, options_.face_cache_bytes,
                            options_.variant);
}

WorkClock Engine::WorkClockOf(const LoadedAvatar& avatar) const {
  const bool own = avatar.generator->provider() == inference::Provider::kCpu &&
                   options_.inference.intra_threads <= 1;
  return own ? WorkClock::kThreadCpu : WorkClock::kWall;
}

Result<std::unique_ptr<Session>> Engine::Open(std::shared_ptr<const LoadedAvatar> avatar,
                                              const SessionOptions& options) {
  return Session::Create(*this, std::move(avatar), options);
}

Result<std::shared_ptr<const LoadedAvatar>> LoadedAvatar::Load(
    const std::filesystem::path& path, const avatar::FrameCodecs& codecs,
    const avatar::LoadOptions& load_options, const inference::Backend& backend,
    const inference::SessionOptions& options, const generator::FeatureCacheOptions& features,
    int64_t face_cache_bytes, std::optional<avatar::GeneratorVariant> variant) {
  LC_ASSIGN_OR_RETURN(auto avatar, avatar::Avatar::Load(path, codecs, load_options));
  const avatar::Manifest& manifest = avatar->manifest();
  const std::string where = "avatar '" + manifest.name + "'";
  const avatar::GeneratorSpec& spec = manifest.generator;
  generator::GeneratorFiles files;
  files.family = avatar::Name(spec.family);
  files.audio_kind = avatar::Name(manifest.audio.kind);
  files.layout = spec.mouth;
  files.audio_encoder = manifest.audio.model;
  files.generator = spec.model;
  if (spec.split) files.split = {spec.split->image, spec.split->audio};
  if (spec.int8) files.int8 = {spec.int8->model, spec.int8->image};
  files.variant = variant.value_or(spec.variant);
  if (!spec.Has(files.variant)) {
    const std::string name(avatar::Name(files.variant));
    return Status(Code::kInvalidArgument, where + ": variant " + name + ": want generator." + name +
                                              " in avatar.json (lipcast avatar optimise makes it)");
  }
  Status unread;  // it names the package itself
  files.read = [&](const std::string& name) {
    auto bytes = avatar->ModelBytes(name);
    unread = bytes.status();
    return bytes;
  };
  auto own_features = features;
  for (int64_t i = 0; i < manifest.frame_count; ++i) own_features.frames += avatar->box(i) ? 1 : 0;
  auto generator = generator::LoadGenerator(files, backend, options, own_features);
  if (!unread.ok()) return unread;
  if (!generator.ok()) return generator.status().Prefixed(where);
  const auto mask =
      avatar->mask_image() ? std::optional(avatar->mask_image()->view()) : std::nullopt;
  auto compositor = imaging::MouthCompositor::Create(spec.mouth, mask ? &*mask : nullptr);
  if (!compositor.ok()) return compositor.status().Prefixed(where);
  return std::shared_ptr<const LoadedAvatar>(std::make_shared<LoadedAvatar>(LoadedAvatar{
      std::move(avatar), *std::move(generator), *std::move(compositor), backend.description(),
      std::make_unique<avatar::PictureCache>(face_cache_bytes)}));
}

audio::Padding LoadedAvatar::mel_padding() const {
  return avatar->manifest().audio.padding == avatar::MelPadding::kReflect ? audio::Padding::kReflect
                                                                          : audio::Padding::kZero;
}

Result<avatar::SharedPicture> LoadedAvatar::Face(int64_t index, const PictureView& frame,
                                                 const Rect& box, imaging::Scratch& scratch) const {
  if (avatar::SharedPicture known = faces->Get(index)) return known;
  const int px = generator->layout().resized_px();
  LC_ASSIGN_OR_RETURN(Picture face, Picture::Create(PixelFormat::kBgr24, px, px));
  LC_RETURN_IF_ERROR(compositor.CropResized(frame, box, face.mutable_view(), scratch));
  auto shared = std::make_shared<const Picture>(std::move(face));
  faces->Put(index, shared);
  return avatar::SharedPicture(shared);
}

}  // namespace lipcast::pipeline
