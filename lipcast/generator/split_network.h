#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lipcast/base/buffer_pool.h"
#include "lipcast/base/status.h"
#include "lipcast/generator/feature_cache.h"
#include "lipcast/inference/session.h"

namespace lipcast::generator {

/// A generator in two files: the image part draws features from a picture, the audio part a mouth
/// from features and sound. One avatar frame's picture never changes, so its features are kept.
/// Frames with kFull are those of the whole network, to the bit.
/// Thread: any number of callers at once. No allocation on a hit after each worker's first frame.
class SplitNetwork {
 public:
  /// Item dimensions: everything but the batch.
  struct Shapes {
    std::span<const int64_t> picture, audio, mouth;
  };

  /// Null where the budget cannot hold one frame's features. kInvalidArgument where a part has
  /// other tensors than these shapes and the other part want, or a fixed batch above 1.
  static Result<std::unique_ptr<const SplitNetwork>> Create(
      std::shared_ptr<const inference::Session> image,
      std::shared_ptr<const inference::Session> audio, const Shapes& shapes,
      const FeatureCacheOptions& options);

  /// One picture and one context -> one mouth. `frame`: the avatar frame that the picture shows;
  /// -1: none, nothing of it is kept.
  Status Run(int64_t frame, std::span<const float> picture, std::span<const float> context,
             std::span<float> mouth) const;

  const inference::Session& audio() const { return *audio_; }
  FeatureCache::Stats stats() const { return cache_.stats(); }

 private:
  static constexpr size_t kMaxCuts = 64;
  /// Where one output of the image part lies among a frame's features.
  struct Cut {
    size_t at, floats;
  };
  /// The smallest first. Those that add up to a sixteenth of all are kept in full: they are the
  /// deepest, and half precision there is most of what it moves in the mouth.
  static FeatureSizes LayOut(std::span<Cut> cuts);
  SplitNetwork(std::shared_ptr<const inference::Session> image,
               std::shared_ptr<const inference::Session> audio, const FeatureCacheOptions& options,
               std::vector<Cut> cuts, FeatureSizes sizes);
  /// Which output of the image part each input of the audio part takes; the sound's own is
  /// `audio_input_`.
  Status Match(const Shapes& shapes);
  Status RunImage(std::span<const float> picture, std::span<float> features) const;

  const std::shared_ptr<const inference::Session> image_, audio_;
  const std::vector<Cut> cuts_;  ///< of each output of the image part
  const size_t frame_floats_;    ///< all of them
  std::vector<size_t> cut_of_input_;
  size_t audio_input_ = 0;
  mutable FeatureCache cache_;
  mutable BufferPool scratch_;  ///< each of frame_floats_ floats
};

}  // namespace lipcast::generator
