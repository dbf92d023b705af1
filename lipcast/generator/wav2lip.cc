// Family "wav2lip": Wav2Lip's network, 96 px and larger twins. Source: docs/numerics.md 4.
//   generator  mel [N,1,80,16] and picture [N,6,S,S], masked copy first -> [N,3,S,S]
// It hears the mel window itself: a window's feature row is the window, and a frame has one row.

#include <algorithm>
#include <optional>

#include "lipcast/generator/generator.h"
#include "lipcast/generator/mouth_network.h"

namespace lipcast::generator {
namespace {

AudioContext OwnWindow() {
  AudioContext context;
  context.feature_floats = context.mel_bands * context.window_frames;
  context.rows_before = -1;  // row i + 1 holds window i
  context.rows_after = 1;
  context.reference_end = ReferenceEnd::kWholeWindows;
  return context;
}

class Wav2Lip final : public Generator {
 public:
  Wav2Lip(std::unique_ptr<const MouthNetwork> network, const avatar::MouthLayout& layout)
      : network_(std::move(network)), layout_(layout) {}

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
    LC_ENSURE(windows.size() == static_cast<size_t>(n * context_.window_floats()));
    LC_ENSURE(features.size() == windows.size());
    std::ranges::copy(windows, features.begin());
    return {};
  }
  Status Generate(std::span<const int64_t> frames, std::span<const float> pictures,
                  std::span<const float> contexts, std::span<float> mouths) const override {
    return network_->Generate(frames, pictures, contexts, mouths);
  }

 private:
  const std::unique_ptr<const MouthNetwork> network_;
  const avatar::MouthLayout layout_;
  const AudioContext context_ = OwnWindow();
};

}  // namespace

Result<std::shared_ptr<const Generator>> LoadWav2Lip(const GeneratorFiles& files,
                                                     const inference::Backend& backend,
                                                     const inference::SessionOptions& options,
                                                     const FeatureCacheOptions& features) {
  if (files.audio_kind != "mel") {
    return Status(Code::kInvalidArgument,
                  "audio.kind = '" + files.audio_kind + "': family wav2lip wants mel");
  }
  const AudioContext context = OwnWindow();
  LC_ASSIGN_OR_RETURN(auto network,
                      MouthNetwork::Load(files, {{1, context.mel_bands, context.window_frames}},
                                         backend, options, features));
  return std::shared_ptr<const Generator>(
      std::make_shared<Wav2Lip>(std::move(network), files.layout));
}

}  // namespace lipcast::generator
