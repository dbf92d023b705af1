// Family "ultralight": the Ultralight-Digital-Human networks of 160 px, audio kinds "hubert" and
// "wenet". Source: docs/numerics.md 5.
//   encoder    samples [N,W] at 16 kHz -> features [N,K,F], of K frames in a row: F is 2048 (two
//              HuBERT tokens of 1024) or 8192 (sixteen WeNet rows of 512)
//   generator  picture [N,6,S,S] and audio (8 or 16 rows of F, as the file says) -> [N,3,S,S]

#include <string>

#include "lipcast/generator/network_generator.h"
#include "lipcast/generator/tensor_match.h"

namespace lipcast::generator {
namespace {

using inference::Session;

/// What the two kinds fix; the window and the rows follow from the files.
struct Kind {
  const char* name;
  Rational fps;
  int feature_floats;
  int64_t tail_samples;  ///< of a window behind its last frame
  ReferenceEnd reference_end;
  std::vector<MouthNetwork::Dims> sounds;  ///< 8 rows, 16 rows
};

const Kind kKinds[] = {
    {"hubert", {25, 1}, 2048, 5200, ReferenceEnd::kHubert, {{16, 32, 32}, {32, 32, 32}}},
    {"wenet", {20, 1}, 8192, 5040, ReferenceEnd::kWenet, {{128, 16, 32}, {256, 16, 32}}},
};
constexpr int64_t kRateHz = 16'000;
constexpr int64_t kMaxWindowSamples = 10 * kRateHz;
constexpr int64_t kMaxWindowFeatures = 32;

/// Window and features from the encoder's own shapes. kInvalidArgument where they are not such.
Result<AudioContext> ContextOf(const Session& encoder, const Kind& kind) {
  const auto wrong = [&] {
    return WrongTensors(
        encoder,
        "an audio encoder with [N,W] -> [N,K," + std::to_string(kind.feature_floats) +
            "] for audio.kind = " + kind.name + ": K 1..32 frames, W their samples at 16 kHz, " +
            std::to_string(kind.tail_samples) + " more behind them, and any number before");
  };
  if (encoder.inputs().size() != 1 || encoder.outputs().size() != 1) return wrong();
  const std::vector<int64_t>& in = encoder.inputs()[0].dims;
  const std::vector<int64_t>& out = encoder.outputs()[0].dims;
  if (in.size() != 2 || out.size() != 3 || out[2] != kind.feature_floats) return wrong();
  if (out[1] < 1 || out[1] > kMaxWindowFeatures || in[1] > kMaxWindowSamples) return wrong();
  AudioContext context;
  context.window_of = WindowOf::kSamples;
  context.fps = kind.fps;
  context.window_samples = in[1];
  context.window_features = static_cast<int>(out[1]);
  context.lead_samples =
      in[1] - kind.tail_samples - FirstSample(context.window_features, kRateHz, kind.fps);
  if (context.lead_samples < 0) return wrong();
  context.feature_floats = kind.feature_floats;
  context.copied_edges = false;
  context.reference_end = kind.reference_end;
  return context;
}

}  // namespace

Result<std::shared_ptr<const Generator>> LoadUltralight(const GeneratorFiles& files,
                                                        const inference::Backend& backend,
                                                        const inference::SessionOptions& options,
                                                        const FeatureCacheOptions& features) {
  const Kind* kind = nullptr;
  for (const Kind& known : kKinds) {
    if (files.audio_kind == known.name) kind = &known;
  }
  if (kind == nullptr) {
    return Status(Code::kInvalidArgument, "audio.kind = '" + files.audio_kind +
                                              "': family ultralight wants hubert or wenet");
  }
  LC_ASSIGN_OR_RETURN(auto encoder, files.Network(files.audio_encoder, backend, options));
  LC_ASSIGN_OR_RETURN(AudioContext context, ContextOf(*encoder, *kind));
  LC_ASSIGN_OR_RETURN(auto network,
                      MouthNetwork::Load(files, kind->sounds, backend, options, features));
  // Frame i hears features i - half .. i + half - 1; row r holds feature r - 1.
  const int half = network->sound() == kind->sounds[0] ? 4 : 8;
  context.rows_before = half - 1;
  context.rows_after = half;
  return MakeGenerator(std::move(encoder), std::move(network), files.layout, context);
}

}  // namespace lipcast::generator
