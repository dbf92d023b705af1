// Family "synctalk": the SyncTalk_2D networks, 328 and 160, audio kind "ave". Source:
// docs/numerics.md 2, 3.
//   encoder    [N,1,80,16] -> [N,512]
//   generator  picture [N,6,S,S] and audio [N,32,16,16] (= 16 rows of 512) -> [N,3,S,S]
// On a CPU the generator is its two parts where the avatar has them and the budget holds a frame.

#include <algorithm>
#include <optional>

#include "lipcast/generator/generator.h"
#include "lipcast/generator/split_network.h"
#include "lipcast/generator/tensor_match.h"

namespace lipcast::generator {
namespace {

using inference::Session;

class Synctalk final : public Generator {
 public:
  Synctalk(std::shared_ptr<const Session> encoder, std::unique_ptr<const SplitNetwork> split,
           const avatar::MouthLayout& layout)
      : encoder_(std::move(encoder)), split_(std::move(split)), layout_(layout) {}
  Synctalk(std::shared_ptr<const Session> encoder, std::shared_ptr<const Session> generator,
           const avatar::MouthLayout& layout, size_t picture_input, size_t audio_input)
      : encoder_(std::move(encoder)),
        generator_(std::move(generator)),
        layout_(layout),
        picture_input_(picture_input),
        audio_input_(audio_input) {}

  const avatar::MouthLayout& layout() const override { return layout_; }
  const AudioContext& context() const override { return context_; }
  inference::Provider provider() const override {
    return split_ ? split_->audio().provider() : generator_->provider();
  }
  int64_t preferred_batch() const override {
    if (split_) return 1;
    if (const int64_t fixed = generator_->fixed_batch(); fixed > 0) return fixed;
    return provider() == inference::Provider::kCpu ? 1 : kDeviceBatch;
  }

  Status Encode(int64_t n, std::span<const float> windows,
                std::span<float> features) const override {
    const std::span<const float> in[] = {windows};
    const std::span<float> out[] = {features};
    return inference::RunItems(*encoder_, n, RunBatch(*encoder_), in, out);
  }

  std::optional<FeatureCache::Stats> feature_stats() const override {
    return split_ ? std::optional(split_->stats()) : std::nullopt;
  }

  Status Generate(std::span<const int64_t> frames, std::span<const float> pictures,
                  std::span<const float> contexts, std::span<float> mouths) const override {
    if (split_) return GenerateSplit(frames, pictures, contexts, mouths);
    const auto n = static_cast<int64_t>(frames.size());
    std::span<const float> in[2];
    in[picture_input_] = pictures;
    in[audio_input_] = contexts;
    const std::span<float> out[] = {mouths};
    return inference::RunItems(*generator_, n, RunBatch(*generator_), in, out);
  }

 private:
  static constexpr int64_t kDeviceBatch = 8;

  /// On a CPU items run one by one: a batch is no faster there, and alone every item is computed
  /// the same way whatever stands beside it, so the batch size cannot change a bit.
  static int64_t RunBatch(const Session& session) {
    return session.provider() == inference::Provider::kCpu ? 1 : kDeviceBatch;
  }

  Status GenerateSplit(std::span<const int64_t> frames, std::span<const float> pictures,
                       std::span<const float> contexts, std::span<float> mouths) const {
    const size_t n = frames.size(),
                 plane = static_cast<size_t>(layout_.inner_px) * layout_.inner_px;
    const auto context = static_cast<size_t>(context_.floats());
    LC_ENSURE(pictures.size() == 6 * n * plane && mouths.size() == 3 * n * plane);
    LC_ENSURE(contexts.size() == n * context);
    for (size_t i = 0; i < n; ++i) {
      LC_RETURN_IF_ERROR(split_->Run(frames[i], pictures.subspan(6 * i * plane, 6 * plane),
                                     contexts.subspan(i * context, context),
                                     mouths.subspan(3 * i * plane, 3 * plane)));
    }
    return {};
  }

  const std::shared_ptr<const Session> encoder_;
  const std::shared_ptr<const Session> generator_;   ///< null where split_ is not
  const std::unique_ptr<const SplitNetwork> split_;  ///< null where generator_ is not
  const avatar::MouthLayout layout_;
  const AudioContext context_;
  const size_t picture_input_ = 0, audio_input_ = 0;
};

/// One run on made-up input: finds what only shows when the model computes, and warms it up.
Status RunOnce(const Generator& generator) {
  const AudioContext& context = generator.context();
  const auto side = static_cast<size_t>(generator.layout().inner_px);
  std::vector<float> windows(static_cast<size_t>(context.window_floats()), -4.0F);
  std::vector<float> features(static_cast<size_t>(context.feature_floats));
  LC_RETURN_IF_ERROR(generator.Encode(1, windows, features));
  std::vector<float> pictures(6 * side * side, 0.5F), mouths(3 * side * side);
  std::vector<float> contexts(static_cast<size_t>(context.floats()));
  const int64_t no_frame[] = {-1};
  return generator.Generate(no_frame, pictures, contexts, mouths);
}

}  // namespace

Result<std::shared_ptr<const Generator>> LoadSynctalk(const GeneratorFiles& files,
                                                      const inference::Backend& backend,
                                                      const inference::SessionOptions& options,
                                                      const FeatureCacheOptions& features) {
  if (files.audio_kind != "ave") {
    return Status(Code::kInvalidArgument,
                  "audio.kind = '" + files.audio_kind + "': family synctalk wants ave");
  }
  LC_RETURN_IF_ERROR(files.layout.Validate());
  LC_ASSIGN_OR_RETURN(auto encoder,
                      backend.Load(files.audio_encoder.bytes, files.audio_encoder.name, options));
  const AudioContext context;
  const int64_t side = files.layout.inner_px;
  const int64_t window[] = {1, context.mel_bands, context.window_frames};
  const int64_t feature[] = {context.feature_floats};
  const int64_t picture[] = {6, side, side};
  const int64_t audio[] = {32, 16, 16};
  const int64_t mouth[] = {3, side, side};
  if (encoder->inputs().size() != 1 || encoder->outputs().size() != 1 ||
      !ItemIs(encoder->inputs()[0], window) || !ItemIs(encoder->outputs()[0], feature)) {
    const bool swapped = FindItem(encoder->inputs(), audio) && encoder->inputs().size() == 2;
    return WrongTensors(*encoder, std::string("an audio encoder with [N,1,80,16] -> [N,512]") +
                                      (swapped ? " (the two files look swapped)" : ""));
  }

  std::shared_ptr<Synctalk> loaded;
  if (files.split && features.budget_bytes > 0 &&
      encoder->provider() == inference::Provider::kCpu) {
    LC_ASSIGN_OR_RETURN(auto image_part,
                        backend.Load(files.split->image.bytes, files.split->image.name, options));
    LC_ASSIGN_OR_RETURN(auto audio_part,
                        backend.Load(files.split->audio.bytes, files.split->audio.name, options));
    LC_ASSIGN_OR_RETURN(auto split,
                        SplitNetwork::Create(std::move(image_part), std::move(audio_part),
                                             {picture, audio, mouth}, features));
    if (split) loaded = std::make_shared<Synctalk>(encoder, std::move(split), files.layout);
  }
  if (!loaded) {
    LC_ASSIGN_OR_RETURN(auto generator,
                        backend.Load(files.generator.bytes, files.generator.name, options));
    const auto picture_input = FindItem(generator->inputs(), picture);
    const auto audio_input = FindItem(generator->inputs(), audio);
    if (generator->inputs().size() != 2 || generator->outputs().size() != 1 || !picture_input ||
        !audio_input || !ItemIs(generator->outputs()[0], mouth)) {
      const std::string px = std::to_string(side);
      return WrongTensors(*generator, "a generator with [N,6," + px + "," + px +
                                          "], [N,32,16,16] -> [N,3," + px + "," + px +
                                          "] (generator.inner_px = " + px + ")");
    }
    loaded = std::make_shared<Synctalk>(std::move(encoder), std::move(generator), files.layout,
                                        *picture_input, *audio_input);
  }
  LC_RETURN_IF_ERROR(RunOnce(*loaded));
  return std::shared_ptr<const Generator>(std::move(loaded));
}

}  // namespace lipcast::generator
