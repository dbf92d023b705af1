#include "lipcast/generator/network_generator.h"

#include <algorithm>
#include <utility>

namespace lipcast::generator {
namespace {

using inference::Session;

class NetworkGenerator final : public Generator {
 public:
  NetworkGenerator(std::shared_ptr<const Session> encoder,
                   std::unique_ptr<const MouthNetwork> network, const avatar::MouthLayout& layout,
                   const AudioContext& context)
      : encoder_(std::move(encoder)),
        network_(std::move(network)),
        layout_(layout),
        context_(context) {}

  const avatar::MouthLayout& layout() const override { return layout_; }
  const AudioContext& context() const override { return context_; }
  inference::Provider provider() const override { return network_->provider(); }
  avatar::GeneratorVariant variant() const override { return network_->variant(); }
  int64_t preferred_batch() const override { return network_->preferred_batch(); }
  std::optional<FeatureCache::Stats> feature_stats() const override {
    return network_->feature_stats();
  }

  Status Encode(int64_t n, std::span<const float> windows,
                std::span<float> features) const override {
    if (!encoder_) {
      LC_ENSURE(windows.size() == static_cast<size_t>(n * context_.window_floats()));
      LC_ENSURE(features.size() == windows.size());
      std::ranges::copy(windows, features.begin());
      return {};
    }
    const std::span<const float> in[] = {windows};
    const std::span<float> out[] = {features};
    return inference::RunItems(*encoder_, n, RunBatch(*encoder_), in, out);
  }
  Status Generate(std::span<const int64_t> frames, std::span<const float> pictures,
                  std::span<const float> contexts, std::span<float> mouths) const override {
    return network_->Generate(frames, pictures, contexts, mouths);
  }

 private:
  const std::shared_ptr<const Session> encoder_;  ///< may be null
  const std::unique_ptr<const MouthNetwork> network_;
  const avatar::MouthLayout layout_;
  const AudioContext context_;
};

}  // namespace

std::shared_ptr<const Generator> MakeGenerator(std::shared_ptr<const Session> encoder,
                                               std::unique_ptr<const MouthNetwork> network,
                                               const avatar::MouthLayout& layout,
                                               const AudioContext& context) {
  return std::make_shared<NetworkGenerator>(std::move(encoder), std::move(network), layout,
                                            context);
}

}  // namespace lipcast::generator
