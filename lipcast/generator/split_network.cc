#include "lipcast/generator/split_network.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "lipcast/generator/tensor_match.h"

namespace lipcast::generator {
namespace {

using inference::Session;
using inference::TensorInfo;

/// The output of this name and these dimensions; the batch may be free in one and 1 in the other.
std::optional<size_t> FindCut(const std::vector<TensorInfo>& outputs, const TensorInfo& input) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].name == input.name && !input.dims.empty() &&
        ItemIs(outputs[i], std::span(input.dims).subspan(1))) {
      return i;
    }
  }
  return std::nullopt;
}

}  // namespace

SplitNetwork::SplitNetwork(std::shared_ptr<const Session> image,
                           std::shared_ptr<const Session> audio, const FeatureCacheOptions& options,
                           std::vector<Cut> cuts, FeatureSizes sizes)
    : image_(std::move(image)),
      audio_(std::move(audio)),
      cuts_(std::move(cuts)),
      frame_floats_(static_cast<size_t>(sizes.floats)),
      cache_(options, sizes),
      scratch_(frame_floats_ * sizeof(float)) {}

FeatureSizes SplitNetwork::LayOut(std::span<Cut> cuts) {
  std::vector<Cut*> by_size;
  FeatureSizes sizes;
  for (Cut& cut : cuts) {
    by_size.push_back(&cut);
    sizes.floats += static_cast<int64_t>(cut.floats);
  }
  std::ranges::stable_sort(by_size, {}, &Cut::floats);
  size_t at = 0;
  for (Cut* cut : by_size) {
    cut->at = at;
    at += cut->floats;
    if (static_cast<int64_t>(at) <= sizes.floats / 16) sizes.full = static_cast<int64_t>(at);
  }
  return sizes;
}

Result<std::unique_ptr<const SplitNetwork>> SplitNetwork::Create(
    std::shared_ptr<const Session> image, std::shared_ptr<const Session> audio,
    const Shapes& shapes, const FeatureCacheOptions& options) {
  const std::string picture = inference::DimsToString(shapes.picture);
  if (image->inputs().size() != 1 || !ItemIs(image->inputs()[0], shapes.picture) ||
      image->outputs().empty() || image->outputs().size() > kMaxCuts) {
    return WrongTensors(*image, "a picture with items " + picture + " -> 1 to " +
                                    std::to_string(kMaxCuts) + " features");
  }
  std::vector<Cut> cuts;
  for (const TensorInfo& info : image->outputs()) {
    const int64_t floats = inference::ItemElements(info);
    if (floats < 1 || floats > INT32_MAX) {
      return WrongTensors(*image, "features of a stated size, but for the batch");
    }
    cuts.push_back({0, static_cast<size_t>(floats)});
  }
  for (const Session* part : {image.get(), audio.get()}) {
    if (part->fixed_batch() > 1) return WrongTensors(*part, "a free batch, or 1");
  }
  const FeatureSizes sizes = LayOut(cuts);
  std::unique_ptr<SplitNetwork> network(
      new SplitNetwork(std::move(image), std::move(audio), options, std::move(cuts), sizes));
  LC_RETURN_IF_ERROR(network->Match(shapes));
  if (network->stats().budget_bytes < sizes.bytes(options.precision)) {
    return std::unique_ptr<const SplitNetwork>();
  }
  return std::unique_ptr<const SplitNetwork>(std::move(network));
}

Status SplitNetwork::Match(const Shapes& shapes) {
  const std::vector<TensorInfo>& inputs = audio_->inputs();
  std::optional<size_t> sound;
  cut_of_input_.assign(inputs.size(), 0);
  size_t matched = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (const auto cut = FindCut(image_->outputs(), inputs[i])) {
      cut_of_input_[i] = *cut;
      ++matched;
    } else if (!sound && ItemIs(inputs[i], shapes.audio)) {
      sound = i;
    }
  }
  if (!sound || matched + 1 != inputs.size() || matched != image_->outputs().size() ||
      audio_->outputs().size() != 1 || !ItemIs(audio_->outputs()[0], shapes.mouth)) {
    std::string cuts;
    for (const TensorInfo& info : image_->outputs()) cuts += info.ToString() + ", ";
    return WrongTensors(
        *audio_, cuts + "a sound with items " + inference::DimsToString(shapes.audio) + " -> " +
                     inference::DimsToString(shapes.mouth) + ", as " + image_->name() + " gives");
  }
  audio_input_ = *sound;
  return {};
}

Status SplitNetwork::RunImage(std::span<const float> picture, std::span<float> features) const {
  std::array<std::span<float>, kMaxCuts> outputs;
  for (size_t i = 0; i < cuts_.size(); ++i) {
    outputs[i] = features.subspan(cuts_[i].at, cuts_[i].floats);
  }
  const std::span<const float> inputs[] = {picture};
  return image_->Run(1, inputs, std::span(outputs).first(cuts_.size()));
}

Status SplitNetwork::Run(int64_t frame, std::span<const float> picture,
                         std::span<const float> context, std::span<float> mouth) const {
  BufferPool::Buffer buffer = scratch_.Take();
  const std::span scratch(reinterpret_cast<float*>(buffer.data()), frame_floats_);
  std::span<const float> features = scratch;
  std::shared_ptr<const FrameFeatures> kept = frame < 0 ? nullptr : cache_.Get(frame);
  if (!kept) {
    LC_RETURN_IF_ERROR(RunImage(picture, scratch));
    // Drawn with what is kept, so that the first time a frame is shown looks like the next.
    if (frame >= 0) kept = cache_.Put(frame, scratch);
  }
  if (kept) features = kept->Values(scratch);

  std::array<std::span<const float>, kMaxCuts + 1> inputs;
  for (size_t i = 0; i < cut_of_input_.size(); ++i) {
    const Cut& cut = cuts_[cut_of_input_[i]];
    inputs[i] = i == audio_input_ ? context : features.subspan(cut.at, cut.floats);
  }
  const std::span<float> outputs[] = {mouth};
  return audio_->Run(1, std::span(inputs).first(cut_of_input_.size()), outputs);
}

}  // namespace lipcast::generator
