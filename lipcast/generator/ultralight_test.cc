#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "lipcast/generator/test_load.h"

namespace lipcast::generator {
namespace {

using inference::ElementType;
using inference::FakeModel;
using testing::HasSubstr;

constexpr int kSide = 160;

GeneratorFiles Files(const std::string& kind) {
  GeneratorFiles files;
  files.family = "ultralight";
  files.audio_kind = kind;
  files.layout.kernel = avatar::ResizeKernel::kLinear;
  files.audio_encoder = "audio_encoder.onnx";
  files.generator = "generator.onnx";
  return files;
}

/// Every value of feature k is the first sample of its window plus k.
FakeModel Encoder(int64_t samples, int64_t features, int64_t floats) {
  FakeModel model;
  model.inputs = {{"samples", ElementType::kFloat32, {-1, samples}}};
  model.outputs = {{"features", ElementType::kFloat32, {-1, features, floats}}};
  model.run = [=](int64_t n, auto inputs, auto outputs) {
    for (int64_t row = 0; row < n * features; ++row) {
      const float first = inputs[0][static_cast<size_t>(row / features * samples)];
      std::ranges::fill(outputs[0].subspan(static_cast<size_t>(row * floats), floats),
                        first + static_cast<float>(row % features));
    }
    return Status();
  };
  return model;
}

/// The whole mouth is the mean of the audio.
FakeModel Painter(std::vector<int64_t> audio, int side = kSide) {
  FakeModel model;
  const auto floats = static_cast<size_t>(
      std::accumulate(audio.begin(), audio.end(), int64_t{1}, std::multiplies<>()));
  audio.insert(audio.begin(), -1);
  model.inputs = {{"input", ElementType::kFloat32, {-1, 6, side, side}},
                  {"audio", ElementType::kFloat32, audio}};
  model.outputs = {{"output", ElementType::kFloat32, {-1, 3, side, side}}};
  model.run = [=](int64_t n, auto inputs, auto outputs) {
    const auto mouth = static_cast<size_t>(3 * side * side);
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const auto heard = inputs[1].subspan(i * floats, floats);
      std::ranges::fill(
          outputs[0].subspan(i * mouth, mouth),
          std::accumulate(heard.begin(), heard.end(), 0.0F) / static_cast<float>(floats));
    }
    return Status();
  };
  return model;
}

Result<std::shared_ptr<const Generator>> Load(const FakeModel& encoder, const FakeModel& generator,
                                              const std::string& kind) {
  return LoadFakes({{"audio_encoder.onnx", encoder}, {"generator.onnx", generator}}, Files(kind));
}

TEST(Ultralight, ReadsItsWindowAndItsRowsFromTheFiles) {
  struct Case {
    const char* kind;
    int64_t samples, features;
    int floats;
    std::vector<int64_t> audio;
    int rows;
    int64_t lead_samples;
  };
  const Case cases[] = {
      {"hubert", 32'080, 10, 2048, {32, 32, 32}, 16, 32'080 - 6'400 - 5'200},
      {"hubert", 640 + 5'200, 1, 2048, {16, 32, 32}, 8, 0},
      {"wenet", 10'960, 1, 8192, {256, 16, 32}, 16, 5'120},
      {"wenet", 10'960, 1, 8192, {128, 16, 32}, 8, 5'120},
  };
  for (const Case& c : cases) {
    const auto loaded = Load(Encoder(c.samples, c.features, c.floats), Painter(c.audio), c.kind);
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    const AudioContext& context = (*loaded)->context();
    EXPECT_EQ(context.window_floats(), c.samples);
    EXPECT_EQ(context.window_features, c.features);
    EXPECT_EQ(context.lead_samples, c.lead_samples);
    EXPECT_EQ(context.rows(), c.rows);
    EXPECT_EQ(context.last_window(20), 20 + c.rows / 2 - 1) << "frame 20 hears half before it";
    EXPECT_EQ(context.fps, (Rational{std::string(c.kind) == "wenet" ? 20 : 25, 1}));

    std::vector<float> windows(static_cast<size_t>(2 * c.samples), 0.25F);
    std::vector<float> features(static_cast<size_t>(2 * c.features * c.floats));
    windows[static_cast<size_t>(c.samples)] = 0.5F;
    ASSERT_TRUE((*loaded)->Encode(2, windows, features).ok());
    EXPECT_EQ(features.front(), 0.25F);
    EXPECT_EQ(features.back(), 0.5F + static_cast<float>(c.features - 1));

    std::vector<float> contexts(static_cast<size_t>(context.floats()), 0.125F);
    std::vector<float> pictures(6 * kSide * kSide), mouths(3 * kSide * kSide);
    const int64_t none[] = {-1};
    ASSERT_TRUE((*loaded)->Generate(none, pictures, contexts, mouths).ok());
    EXPECT_EQ(mouths.front(), 0.125F);
  }
}

TEST(Ultralight, RefusesAnEncoderOfTheOtherKindOrOfTooFewSamples) {
  const FakeModel generator = Painter({32, 32, 32});
  EXPECT_EQ(Refusal(Load(Encoder(10'960, 1, 8192), generator, "hubert")),
            "audio_encoder.onnx: found samples float32[N,10960] -> features float32[N,1,8192],"
            " want an audio encoder with [N,W] -> [N,K,2048] for audio.kind = hubert: K 1..32"
            " frames, W their samples at 16 kHz, 5200 more behind them, and any number before");
  for (const FakeModel& bad :
       {Encoder(5'839, 1, 2048), Encoder(-1, 1, 2048), Encoder(32'000, 33, 2048),
        Encoder(32'000, -1, 2048), Encoder(160'001, 1, 2048), generator}) {
    EXPECT_THAT(Refusal(Load(bad, generator, "hubert")), HasSubstr("audio_encoder.onnx: found"));
  }
}

TEST(Ultralight, RefusesAGeneratorThatHearsAnotherKind) {
  EXPECT_THAT(Refusal(Load(Encoder(32'080, 10, 2048), Painter({128, 16, 32}), "hubert")),
              testing::AllOf(HasSubstr("found input float32[N,6,160,160], audio float32[N,128,16"),
                             HasSubstr("[N,16,32,32] or [N,32,32,32] -> [N,3,160,160]")));
  EXPECT_EQ(Refusal(Load(Encoder(32'080, 10, 2048), Painter({32, 32, 32}), "ave")),
            "audio.kind = 'ave': family ultralight wants hubert or wenet");
}

}  // namespace
}  // namespace lipcast::generator
