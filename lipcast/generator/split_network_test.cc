#include "lipcast/generator/split_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "lipcast/generator/fake_synctalk.h"
#include "lipcast/generator/generator.h"

namespace lipcast::generator {
namespace {

using inference::ElementType;
using inference::FakeBackend;
using inference::FakeModel;
using testing::HasSubstr;

constexpr int64_t kSide = 16;
constexpr size_t kPlane = kSide * kSide, kContext = 8192;
constexpr int64_t kFrameFloats = 3 * kPlane + 5, kFullFloats = 5;

/// Two features: "edges" [3][S][S], the picture's thirds; "means" [5], of its first planes.
FakeModel ImagePart() {
  FakeModel model;
  model.inputs = {{"input", ElementType::kFloat32, {-1, 6, kSide, kSide}}};
  model.outputs = {{"edges", ElementType::kFloat32, {-1, 3, kSide, kSide}},
                   {"means", ElementType::kFloat32, {-1, 5}}};
  model.run = [](int64_t, auto in, auto out) {
    for (size_t i = 0; i < 3 * kPlane; ++i) out[0][i] = in[0][i] / 3;
    for (size_t m = 0; m < 5; ++m) out[1][m] = in[0][m * kPlane + 17];
    return Status();
  };
  return model;
}

float Mouth(float edge, std::span<const float> means, std::span<const float> context, size_t i) {
  return edge * context[i] + means[i % 5];
}

/// Its inputs stand in another order than the image part gives them.
FakeModel AudioPart() {
  FakeModel model;
  model.inputs = {{"means", ElementType::kFloat32, {-1, 5}},
                  {"audio", ElementType::kFloat32, {-1, 32, 16, 16}},
                  {"edges", ElementType::kFloat32, {-1, 3, kSide, kSide}}};
  model.outputs = {{"output", ElementType::kFloat32, {-1, 3, kSide, kSide}}};
  model.run = [](int64_t, auto in, auto out) {
    for (size_t i = 0; i < 3 * kPlane; ++i) out[0][i] = Mouth(in[2][i], in[0], in[1], i);
    return Status();
  };
  return model;
}

FakeModel WholeNetwork() {
  FakeModel model;
  model.inputs = {ImagePart().inputs[0], AudioPart().inputs[1]};
  model.outputs = AudioPart().outputs;
  model.run = [](int64_t n, auto in, auto out) {
    for (size_t item = 0; item < static_cast<size_t>(n); ++item) {
      const auto picture = in[0].subspan(item * 6 * kPlane, 6 * kPlane);
      const auto context = in[1].subspan(item * kContext, kContext);
      float means[5];
      for (size_t m = 0; m < 5; ++m) means[m] = picture[m * kPlane + 17];
      for (size_t i = 0; i < 3 * kPlane; ++i) {
        out[0][item * 3 * kPlane + i] = Mouth(picture[i] / 3, means, context, i);
      }
    }
    return Status();
  };
  return model;
}

struct Parts {
  FakeModel whole = WholeNetwork(), image = ImagePart(), audio = AudioPart();
  FeatureCacheOptions features{.precision = FeaturePrecision::kFull};
  inference::Provider provider = inference::Provider::kCpu;
  bool split = true;

  Result<std::shared_ptr<const Generator>> Load() const {
    FakeBackend backend;
    backend.models["encoder.onnx"] = FakeSynctalkEncoder();
    backend.models["generator.onnx"] = whole;
    backend.models["image.onnx"] = image;
    backend.models["audio.onnx"] = audio;
    GeneratorFiles files;
    files.family = "synctalk";
    files.audio_kind = "ave";
    files.layout.inner_px = kSide;
    files.layout.mask = {1, 1, 15, 14};
    files.audio_encoder = "encoder.onnx";
    files.generator = "generator.onnx";
    if (split) {
      files.split = {"image.onnx", "audio.onnx"};
      files.variant = avatar::GeneratorVariant::kSplit;
    }
    inference::SessionOptions options;
    options.provider = provider;
    return LoadGenerator(files, backend, options, features);
  }
};

std::vector<float> Noise(size_t count, int64_t seed) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] =
        static_cast<float>((i + static_cast<size_t>(seed) * 97) * 2654435761U % 1009) / 1009;
  }
  return values;
}

/// Frame `frame` with sound `sound`.
std::vector<float> Draw(const Generator& generator, int64_t frame, int64_t sound,
                        bool named = true) {
  std::vector<float> mouth(3 * kPlane, -1.0F);
  const int64_t frames[] = {named ? frame : -1};
  const Status status =
      generator.Generate(frames, Noise(6 * kPlane, frame), Noise(kContext, 1000 + sound), mouth);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return mouth;
}

std::shared_ptr<const Generator> Loaded(const Parts& parts) {
  auto loaded = parts.Load();
  EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
  return *std::move(loaded);
}

std::string Refusal(const Parts& parts) {
  const auto loaded = parts.Load();
  EXPECT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(loaded.status().message(), testing::Not(HasSubstr("\n")));
  return loaded.status().message();
}

TEST(SplitNetwork, DrawsWhatTheWholeNetworkDrawsToTheBitInFull) {
  const auto whole = Loaded({.split = false}), split = Loaded({});
  EXPECT_FALSE(whole->feature_stats());
  for (int64_t i = 0; i < 40; ++i) {
    ASSERT_EQ(Draw(*split, i % 7, i), Draw(*whole, i % 7, i)) << i;
  }
  EXPECT_EQ(split->feature_stats()->hits, 33);
}

TEST(SplitNetwork, RunsTheImagePartOnceForEachFrame) {
  Parts parts;
  const auto split = Loaded(parts);
  const int64_t warm_up = parts.image.counts->runs;
  for (int64_t i = 0; i < 30; ++i) Draw(*split, i % 5, i);
  EXPECT_EQ(parts.image.counts->runs - warm_up, 5);
  EXPECT_EQ(parts.audio.counts->runs, warm_up + 30);
  EXPECT_EQ(parts.whole.counts->runs, 0);
}

TEST(SplitNetwork, AFrameInHalfIsTheSameTheFirstTimeAsLater) {
  const auto split = Loaded({.features = {.precision = FeaturePrecision::kHalf}});
  const auto whole = Loaded({.split = false});
  const std::vector<float> first = Draw(*split, 3, 1), wanted = Draw(*whole, 3, 1);
  EXPECT_EQ(Draw(*split, 3, 1), first);
  EXPECT_EQ(split->feature_stats()->hits, 1);
  EXPECT_NE(first, wanted);
  for (size_t i = 0; i < first.size(); ++i) ASSERT_NEAR(first[i], wanted[i], 0.001F) << i;
}

TEST(SplitNetwork, KeepsItsSmallTensorsInFullInHalf) {
  const auto split = Loaded({.features = {.precision = FeaturePrecision::kHalf}});
  const auto whole = Loaded({.split = false});
  const std::vector<float> no_edges(kContext, 0.0F);
  std::vector<float> drawn(3 * kPlane), wanted(drawn.size());
  const int64_t frames[] = {3};
  ASSERT_TRUE(split->Generate(frames, Noise(6 * kPlane, 3), no_edges, drawn).ok());
  ASSERT_TRUE(whole->Generate(frames, Noise(6 * kPlane, 3), no_edges, wanted).ok());
  EXPECT_EQ(drawn, wanted);
  EXPECT_EQ(split->feature_stats()->bytes_held, 2 * kFrameFloats + 2 * kFullFloats);
}

TEST(SplitNetwork, KeepsNothingOfAPictureThatIsNoFrame) {
  Parts parts;
  const auto split = Loaded(parts), whole = Loaded({.split = false});
  EXPECT_EQ(Draw(*split, 1, 1, false), Draw(*whole, 1, 1));
  EXPECT_EQ(Draw(*split, 2, 1, false), Draw(*whole, 2, 1));
  EXPECT_EQ(split->feature_stats()->frames, 0);
}

TEST(SplitNetwork, DrawsManyFramesOfOneCallEachWithItsOwn) {
  const auto split = Loaded({}), whole = Loaded({.split = false});
  std::vector<float> pictures, contexts, mouths(4 * 3 * kPlane), wanted(mouths.size());
  const int64_t frames[] = {4, -1, 2, 4};
  for (int64_t i = 0; i < 4; ++i) {
    for (const float value : Noise(6 * kPlane, frames[i])) pictures.push_back(value);
    for (const float value : Noise(kContext, i)) contexts.push_back(value);
  }
  ASSERT_TRUE(whole->Generate(frames, pictures, contexts, wanted).ok());
  ASSERT_TRUE(split->Generate(frames, pictures, contexts, mouths).ok());
  EXPECT_EQ(mouths, wanted);
}

TEST(SplitNetwork, TakesTheWholeNetworkWhereTheBudgetHoldsNoFrame) {
  for (const auto precision : {FeaturePrecision::kHalf, FeaturePrecision::kFull}) {
    const int64_t bytes = FeatureSizes{kFrameFloats, kFullFloats}.bytes(precision);
    Parts parts;
    parts.features = {.budget_bytes = bytes - 1, .precision = precision};
    EXPECT_FALSE(Loaded(parts)->feature_stats());
    EXPECT_GT(parts.whole.counts->runs, 0);
    parts.features.budget_bytes = bytes;
    EXPECT_TRUE(Loaded(parts)->feature_stats());
  }
}

TEST(SplitNetwork, TakesTheWholeNetworkOnADeviceAndWithoutABudget) {
  EXPECT_FALSE(Loaded({.provider = inference::Provider::kCuda})->feature_stats());
  EXPECT_FALSE(Loaded({.features = {.budget_bytes = 0}})->feature_stats());
}

TEST(SplitNetwork, ServesManyCallersAtOnceWithinItsBudget) {
  const auto whole = Loaded({.split = false});
  const auto split = Loaded(
      {.features = {.budget_bytes = 3 * 4 * kFrameFloats, .precision = FeaturePrecision::kFull}});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int64_t t = 0; t < 4; ++t) {
    callers.emplace_back([&, t] {
      for (int64_t i = 0; i < 60; ++i) {
        if (Draw(*split, i % 8, i + t) != Draw(*whole, i % 8, i + t)) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(split->feature_stats()->frames, 3);
}

TEST(SplitNetwork, RefusesPartsThatDoNotFitNamingBoth) {
  Parts renamed;
  renamed.audio.inputs[0].name = "sums";
  EXPECT_EQ(Refusal(renamed),
            "audio.onnx: found sums float32[N,5], audio float32[N,32,16,16], edges"
            " float32[N,3,16,16] -> output float32[N,3,16,16], want edges float32[N,3,16,16], means"
            " float32[N,5], a sound with items [32,16,16] -> [3,16,16], as image.onnx gives");
  Parts resized;
  resized.audio.inputs[2].dims = {-1, 3, 16, 8};
  Parts missing;
  missing.audio.inputs.pop_back();
  Parts deaf;
  deaf.audio.inputs.erase(deaf.audio.inputs.begin() + 1);
  Parts twice;
  twice.audio.inputs.push_back({"more", ElementType::kFloat32, {-1, 32, 16, 16}});
  Parts other_mouth;
  other_mouth.audio.outputs[0].dims = {-1, 3, 32, 32};
  for (const Parts* parts : {&resized, &missing, &deaf, &twice, &other_mouth}) {
    EXPECT_THAT(Refusal(*parts), HasSubstr("audio.onnx: found "));
  }
  Parts other_picture;
  other_picture.image.inputs[0].dims = {-1, 6, 32, 32};
  EXPECT_THAT(Refusal(other_picture), HasSubstr("image.onnx: found "));
  Parts free_feature;
  free_feature.image.outputs[0].dims = {-1, 3, -1, 16};
  EXPECT_THAT(Refusal(free_feature), HasSubstr("want features of a stated size"));
  Parts fixed;
  fixed.image.inputs[0].dims[0] = 4;
  EXPECT_THAT(Refusal(fixed), HasSubstr("image.onnx: found input float32[4,6,16,16]"));
}

TEST(SplitNetwork, PassesOnWhatAPartSays) {
  for (const bool image : {true, false}) {
    Parts parts;
    (image ? parts.image : parts.audio).run = [](int64_t, auto, auto) {
      return Status(Code::kInternal, "no memory");
    };
    const auto loaded = parts.Load();
    EXPECT_EQ(loaded.status().message(),
              std::string(image ? "image" : "audio") + ".onnx: no memory");
  }
}

}  // namespace
}  // namespace lipcast::generator
