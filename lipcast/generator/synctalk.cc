// Family "synctalk": the SyncTalk_2D networks, 328 and 160, audio kind "ave". Source:
// docs/numerics.md 2, 3.
//   encoder    [N,1,80,16] -> [N,512]
//   generator  picture [N,6,S,S] and audio [N,32,16,16] (= 16 rows of 512) -> [N,3,S,S]

#include <algorithm>
#include <cmath>
#include <optional>

#include "lipcast/generator/generator.h"

namespace lipcast::generator {
namespace {

using inference::DimsToString;
using inference::Session;
using inference::TensorInfo;

/// True if the tensor's item (everything but the batch) has these dimensions.
bool ItemIs(const TensorInfo& info, std::span<const int64_t> item) {
  if (info.dims.size() != item.size() + 1) return false;
  for (size_t i = 0; i < item.size(); ++i) {
    if (info.dims[i + 1] != item[i]) return false;
  }
  return true;
}

/// The input or output whose item has these dimensions; names differ from export to export.
std::optional<size_t> FindItem(const std::vector<TensorInfo>& infos,
                               std::span<const int64_t> item) {
  for (size_t i = 0; i < infos.size(); ++i) {
    if (ItemIs(infos[i], item)) return i;
  }
  return std::nullopt;
}

std::string Describe(const Session& session) {
  std::string text;
  for (const TensorInfo& info : session.inputs())
    text += (text.empty() ? "" : ", ") + info.ToString();
  text += " -> ";
  for (size_t i = 0; i < session.outputs().size(); ++i) {
    text += (i == 0 ? "" : ", ") + session.outputs()[i].ToString();
  }
  return text;
}

Status WrongShape(const Session& session, const std::string& role, const std::string& wanted,
                  const std::string& hint) {
  return Status(Code::kInvalidArgument, session.name() + ": found " + Describe(session) +
                                            ", want " + role + " with " + wanted + hint);
}

class Synctalk final : public Generator {
 public:
  Synctalk(std::shared_ptr<const Session> encoder, std::shared_ptr<const Session> generator,
           const avatar::MouthLayout& layout, size_t picture_input, size_t audio_input)
      : encoder_(std::move(encoder)),
        generator_(std::move(generator)),
        layout_(layout),
        picture_input_(picture_input),
        audio_input_(audio_input) {}

  const avatar::MouthLayout& layout() const override { return layout_; }
  const AudioContext& context() const override { return context_; }
  inference::Provider provider() const override { return generator_->provider(); }
  int64_t preferred_batch() const override {
    if (const int64_t fixed = generator_->fixed_batch(); fixed > 0) return fixed;
    return provider() == inference::Provider::kCpu ? 1 : kDeviceBatch;
  }

  Status Encode(int64_t n, std::span<const float> windows,
                std::span<float> features) const override {
    const std::span<const float> in[] = {windows};
    const std::span<float> out[] = {features};
    return inference::RunItems(*encoder_, n, RunBatch(*encoder_), in, out);
  }

  Status Generate(int64_t n, std::span<const float> pictures, std::span<const float> contexts,
                  std::span<float> mouths) const override {
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

  const std::shared_ptr<const Session> encoder_, generator_;
  const avatar::MouthLayout layout_;
  const AudioContext context_;
  const size_t picture_input_, audio_input_;
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
  return generator.Generate(1, pictures, contexts, mouths);
}

}  // namespace

Result<std::shared_ptr<const Generator>> LoadSynctalk(const GeneratorFiles& files,
                                                      const inference::Backend& backend,
                                                      const inference::SessionOptions& options) {
  if (files.audio_kind != "ave") {
    return Status(Code::kInvalidArgument,
                  "audio.kind = '" + files.audio_kind + "': family synctalk wants ave");
  }
  LC_RETURN_IF_ERROR(files.layout.Validate());
  LC_ASSIGN_OR_RETURN(auto encoder,
                      backend.Load(files.audio_encoder.bytes, files.audio_encoder.name, options));
  LC_ASSIGN_OR_RETURN(auto generator,
                      backend.Load(files.generator.bytes, files.generator.name, options));

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
    return WrongShape(*encoder, "an audio encoder", "[N,1,80,16] -> [N,512]",
                      swapped ? " (the two files look swapped)" : "");
  }
  const auto picture_input = FindItem(generator->inputs(), picture);
  const auto audio_input = FindItem(generator->inputs(), audio);
  if (generator->inputs().size() != 2 || generator->outputs().size() != 1 || !picture_input ||
      !audio_input || !ItemIs(generator->outputs()[0], mouth)) {
    const std::string sides = "[N,6," + std::to_string(side) + "," + std::to_string(side) + "]";
    return WrongShape(*generator, "a generator",
                      sides + ", [N,32,16,16] -> [N,3," + std::to_string(side) + "," +
                          std::to_string(side) + "] (generator.inner_px = " + std::to_string(side) +
                          ")",
                      "");
  }
  auto loaded = std::make_shared<Synctalk>(std::move(encoder), std::move(generator), files.layout,
                                           *picture_input, *audio_input);
  LC_RETURN_IF_ERROR(RunOnce(*loaded));
  return std::shared_ptr<const Generator>(std::move(loaded));
}

}  // namespace lipcast::generator
