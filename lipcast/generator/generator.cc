#include "lipcast/generator/generator.h"

namespace lipcast::generator {
namespace {

struct Family {
  const char* name;
  decltype(&LoadSynctalk) load;
};
constexpr Family kFamilies[] = {
    {"synctalk", LoadSynctalk}, {"ultralight", LoadUltralight}, {"wav2lip", LoadWav2Lip}};

/// One run on made-up input: finds what only shows when the model computes, and warms it up.
Status RunOnce(const Generator& generator) {
  const AudioContext& context = generator.context();
  const auto side = static_cast<size_t>(generator.layout().inner_px);
  const float quiet = context.window_of == WindowOf::kMel ? -4.0F : 0.0F;
  std::vector<float> windows(static_cast<size_t>(context.window_floats()), quiet);
  std::vector<float> features(
      static_cast<size_t>(int64_t{context.window_features} * context.feature_floats));
  LC_RETURN_IF_ERROR(generator.Encode(1, windows, features));
  std::vector<float> pictures(6 * side * side, 0.5F), mouths(3 * side * side);
  std::vector<float> contexts(static_cast<size_t>(context.floats()));
  const int64_t no_frame[] = {-1};
  return generator.Generate(no_frame, pictures, contexts, mouths);
}

}  // namespace

std::vector<std::string> FamilyNames() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.name);
  return names;
}

Result<std::shared_ptr<const inference::Session>> GeneratorFiles::Network(
    const std::string& name, const inference::Backend& backend,
    const inference::SessionOptions& options) const {
  if (!read) return backend.Load({}, name, options);
  LC_ASSIGN_OR_RETURN(const avatar::SharedBytes bytes, read(name));
  return backend.Load(*bytes, name, options);
}

Result<std::shared_ptr<const Generator>> LoadGenerator(const GeneratorFiles& files,
                                                       const inference::Backend& backend,
                                                       const inference::SessionOptions& options,
                                                       const FeatureCacheOptions& features) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (files.family == family.name) {
      LC_ASSIGN_OR_RETURN(auto generator, family.load(files, backend, options, features));
      LC_RETURN_IF_ERROR(RunOnce(*generator));
      return generator;
    }
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  return Status(Code::kInvalidArgument,
                "generator.family = '" + files.family + "': want one of: " + known);
}

}  // namespace lipcast::generator
