#include "lipcast/generator/mouth_network.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lipcast/generator/tensor_match.h"

namespace lipcast::generator {
namespace {

using inference::Provider;
using Dims = MouthNetwork::Dims;
using Variant = avatar::GeneratorVariant;

constexpr int64_t kDeviceBatch = 8;

std::string WithBatch(const Dims& item) {
  Dims dims = {-1};
  dims.insert(dims.end(), item.begin(), item.end());
  return inference::DimsToString(dims);
}

Dims Square(int64_t channels, int64_t side) { return {channels, side, side}; }

/// Which of `sounds` is among the inputs; the first where none is.
const Dims& SoundOf(const inference::Session& session, const std::vector<Dims>& sounds) {
  const auto found = std::ranges::find_if(
      sounds, [&](const Dims& sound) { return FindItem(session.inputs(), sound).has_value(); });
  return found == sounds.end() ? sounds.front() : *found;
}

/// The two parts that the wanted variant is drawn with; none where it is one network.
std::optional<SplitFiles> PartsOf(const GeneratorFiles& files) {
  if (files.variant == Variant::kSplit) return files.split;
  if (files.variant == Variant::kInt8 && files.int8 && files.int8->image) {
    return SplitFiles{*files.int8->image, files.int8->model};
  }
  return std::nullopt;
}

int64_t Elements(const Dims& item) {
  int64_t product = 1;
  for (const int64_t dim : item) product *= dim;
  return product;
}

}  // namespace

int64_t RunBatch(const inference::Session& session) {
  return session.provider() == Provider::kCpu ? 1 : kDeviceBatch;
}

Result<std::unique_ptr<const MouthNetwork>> MouthNetwork::Load(
    const GeneratorFiles& files, const std::vector<Dims>& sounds, const inference::Backend& backend,
    const inference::SessionOptions& options, const FeatureCacheOptions& features) {
  LC_RETURN_IF_ERROR(files.layout.Validate());
  std::unique_ptr<MouthNetwork> network(new MouthNetwork(files.layout.inner_px));
  const auto parts = PartsOf(files);
  if (parts && features.keeps()) {
    LC_RETURN_IF_ERROR(network->LoadSplit(files, *parts, sounds, backend, options, features));
  }
  if (network->split_) {
    network->variant_ = files.variant;
    return std::unique_ptr<const MouthNetwork>(std::move(network));
  }
  const bool twin = files.variant == Variant::kInt8 && files.int8 && !files.int8->image;
  LC_RETURN_IF_ERROR(network->LoadWhole(files, twin ? files.int8->model : files.generator, sounds,
                                        backend, options));
  if (twin && network->provider() == Provider::kCpu) {
    network->variant_ = Variant::kInt8;
  } else if (twin) {  // a device is asked for the whole
    LC_RETURN_IF_ERROR(network->LoadWhole(files, files.generator, sounds, backend, options));
  }
  return std::unique_ptr<const MouthNetwork>(std::move(network));
}

Status MouthNetwork::LoadSplit(const GeneratorFiles& files, const SplitFiles& parts,
                               const std::vector<Dims>& sounds, const inference::Backend& backend,
                               const inference::SessionOptions& options,
                               const FeatureCacheOptions& features) {
  LC_ASSIGN_OR_RETURN(auto image, files.Network(parts.image, backend, options));
  if (image->provider() != Provider::kCpu) return {};
  LC_ASSIGN_OR_RETURN(auto audio, files.Network(parts.audio, backend, options));
  sound_ = SoundOf(*audio, sounds);
  const Dims picture = Square(6, side_), mouth = Square(3, side_);
  LC_ASSIGN_OR_RETURN(split_, SplitNetwork::Create(std::move(image), std::move(audio),
                                                   {picture, sound_, mouth}, features));
  return {};
}

Status MouthNetwork::LoadWhole(const GeneratorFiles& files, const std::string& name,
                               const std::vector<Dims>& sounds, const inference::Backend& backend,
                               const inference::SessionOptions& options) {
  LC_ASSIGN_OR_RETURN(whole_, files.Network(name, backend, options));
  sound_ = SoundOf(*whole_, sounds);
  const Dims picture = Square(6, side_), mouth = Square(3, side_);
  const auto picture_input = FindItem(whole_->inputs(), picture);
  const auto sound_input = FindItem(whole_->inputs(), sound_);
  if (whole_->inputs().size() != 2 || whole_->outputs().size() != 1 || !picture_input ||
      !sound_input || !ItemIs(whole_->outputs()[0], mouth)) {
    std::string heard;
    for (const Dims& sound : sounds) heard += (heard.empty() ? "" : " or ") + WithBatch(sound);
    return WrongTensors(*whole_, "a generator with " + WithBatch(picture) + ", " + heard + " -> " +
                                     WithBatch(mouth) +
                                     " (generator.inner_px = " + std::to_string(side_) + ")");
  }
  picture_input_ = *picture_input;
  sound_input_ = *sound_input;
  return {};
}

int64_t MouthNetwork::preferred_batch() const {
  if (split_) return 1;
  if (const int64_t fixed = whole_->fixed_batch(); fixed > 0) return fixed;
  return RunBatch(*whole_);
}

Status MouthNetwork::Generate(std::span<const int64_t> frames, std::span<const float> pictures,
                              std::span<const float> sounds, std::span<float> mouths) const {
  const size_t n = frames.size();
  if (!split_) {
    std::span<const float> in[2];
    in[picture_input_] = pictures;
    in[sound_input_] = sounds;
    const std::span<float> out[] = {mouths};
    return inference::RunItems(*whole_, static_cast<int64_t>(n), RunBatch(*whole_), in, out);
  }
  const auto plane = static_cast<size_t>(side_ * side_);
  const auto floats = static_cast<size_t>(Elements(sound_));
  LC_ENSURE(pictures.size() == 6 * n * plane && mouths.size() == 3 * n * plane);
  LC_ENSURE(sounds.size() == n * floats);
  for (size_t i = 0; i < n; ++i) {
    LC_RETURN_IF_ERROR(split_->Run(frames[i], pictures.subspan(6 * i * plane, 6 * plane),
                                   sounds.subspan(i * floats, floats),
                                   mouths.subspan(3 * i * plane, 3 * plane)));
  }
  return {};
}

}  // namespace lipcast::generator
