#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lipcast/base/status.h"
#include "lipcast/generator/generator.h"
#include "lipcast/generator/split_network.h"

namespace lipcast::generator {

/// The network of a family that draws, picture and sound in, mouth out: whole, in its two parts, or
/// as its 8-bit twin (of the whole, or of the part that hears). On a CPU it is the variant that
/// files.variant asks for, where the budget holds one frame's features; else the whole.
/// Thread: any number of callers at once.
class MouthNetwork {
 public:
  using Dims = std::vector<int64_t>;  ///< of an item: everything but the batch

  /// The picture's and the mouth's sizes follow from files.layout; `sounds` are the items that the
  /// family's sound may be, the file says which. Inputs are told apart by their shapes.
  /// kInvalidArgument: "generator.onnx: found <its tensors>, want a generator with ..".
  static Result<std::unique_ptr<const MouthNetwork>> Load(const GeneratorFiles& files,
                                                          const std::vector<Dims>& sounds,
                                                          const inference::Backend& backend,
                                                          const inference::SessionOptions& options,
                                                          const FeatureCacheOptions& features);

  const Dims& sound() const { return sound_; }
  avatar::GeneratorVariant variant() const { return variant_; }  ///< what draws
  inference::Provider provider() const {
    return split_ ? split_->audio().provider() : whole_->provider();
  }
  /// As Generator's functions of the same names.
  int64_t preferred_batch() const;
  Status Generate(std::span<const int64_t> frames, std::span<const float> pictures,
                  std::span<const float> sounds, std::span<float> mouths) const;
  std::optional<FeatureCache::Stats> feature_stats() const {
    return split_ ? std::optional(split_->stats()) : std::nullopt;
  }

 private:
  explicit MouthNetwork(int64_t side) : side_(side) {}
  Status LoadSplit(const GeneratorFiles& files, const SplitFiles& parts,
                   const std::vector<Dims>& sounds, const inference::Backend& backend,
                   const inference::SessionOptions& options, const FeatureCacheOptions& features);
  Status LoadWhole(const GeneratorFiles& files, const std::string& name,
                   const std::vector<Dims>& sounds, const inference::Backend& backend,
                   const inference::SessionOptions& options);

  const int64_t side_;  ///< of the picture, pixels
  Dims sound_;
  std::unique_ptr<const SplitNetwork> split_;        ///< null where whole_ is not
  std::shared_ptr<const inference::Session> whole_;  ///< null where split_ is not
  size_t picture_input_ = 0, sound_input_ = 0;
  avatar::GeneratorVariant variant_ = avatar::GeneratorVariant::kFull;
};

/// How many items a network is run on at once. On a CPU one by one: a batch is no faster there, and
/// alone every item is computed the same way whatever stands beside it, so the batch size cannot
/// change a bit.
int64_t RunBatch(const inference::Session& session);

}  // namespace lipcast::generator
