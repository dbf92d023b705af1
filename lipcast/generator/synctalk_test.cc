#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "lipcast/generator/fake_synctalk.h"
#include "lipcast/generator/test_load.h"

namespace lipcast::generator {
namespace {

using inference::ElementType;
using inference::FakeBackend;
using inference::FakeModel;
using testing::HasSubstr;

constexpr int kInner = 160;
constexpr size_t kFeatures = 512, kRows = 16, kWindow = 80 * 16;

avatar::MouthLayout Layout328() {
  avatar::MouthLayout layout;
  layout.inner_px = 320;
  layout.mask = {5, 5, 315, 310};
  return layout;
}

GeneratorFiles Files(const avatar::MouthLayout& layout = {}) {
  GeneratorFiles files;
  files.family = "synctalk";
  files.audio_kind = "ave";
  files.layout = layout;
  files.audio_encoder = "audio_encoder.onnx";
  files.generator = "generator.onnx";
  return files;
}

Result<std::shared_ptr<const Generator>> Load(
    const FakeModel& encoder, const FakeModel& generator, const GeneratorFiles& files = Files(),
    inference::Provider provider = inference::Provider::kCpu) {
  return LoadFakes({{"audio_encoder.onnx", encoder}, {"generator.onnx", generator}}, files,
                   provider);
}

/// A network of other tensors than the family wants; it computes nothing.
FakeModel Stranger(std::vector<inference::TensorInfo> inputs,
                   std::vector<inference::TensorInfo> outputs) {
  FakeModel model;
  model.inputs = std::move(inputs);
  model.outputs = std::move(outputs);
  model.run = [](int64_t, auto, auto) { return Status(); };
  return model;
}

/// n pictures and contexts, no two alike; frame i's own row has the level Level(i).
struct Batch {
  explicit Batch(int64_t n, int inner_px = kInner) : count(n), side(static_cast<size_t>(inner_px)) {
    pictures.resize(static_cast<size_t>(n) * 6 * side * side);
    contexts.resize(static_cast<size_t>(n) * kRows * kFeatures);
    mouths.resize(static_cast<size_t>(n) * 3 * side * side, -7.0F);
    for (size_t i = 0; i < pictures.size(); ++i) {
      pictures[i] = static_cast<float>(i * 2654435761U % 1009) / 1009.0F;
    }
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      for (size_t row = 0; row < kRows; ++row) {
        const float value = row == 9 ? Level(i) : 0.9F - 0.01F * static_cast<float>(row);
        std::fill_n(contexts.begin() + static_cast<ptrdiff_t>((i * kRows + row) * kFeatures),
                    kFeatures, value);
      }
    }
  }
  static float Level(size_t i) { return static_cast<float>(i + 1) / 32; }
  Status Run(const Generator& generator) {
    return generator.Generate(std::vector<int64_t>(static_cast<size_t>(count), -1), pictures,
                              contexts, mouths);
  }

  int64_t count;
  size_t side;
  std::vector<float> pictures, contexts, mouths;
};

/// What LoudnessGenerator must give, written out from its header.
std::vector<float> PlainLoudness(const Batch& batch, const Rect& mask) {
  const size_t plane = batch.side * batch.side;
  std::vector<float> mouths;
  for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i) {
    for (size_t p = 0; p < 3 * plane; ++p) {
      const auto x = static_cast<int>(p % batch.side);
      const auto y = static_cast<int>(p % plane / batch.side);
      const bool masked = x >= mask.x0 && x < mask.x1 && y >= mask.y0 && y < mask.y1;
      mouths.push_back(masked ? Batch::Level(i) : batch.pictures[i * 6 * plane + p]);
    }
  }
  return mouths;
}

TEST(Synctalk, DrawsWithThe160Layout) {
  const auto loaded = Load(FakeSynctalkEncoder(), LoudnessGenerator(160));
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ((*loaded)->layout().inner_px, 160);
  EXPECT_EQ((*loaded)->layout().resized_px(), 168);
  EXPECT_EQ((*loaded)->provider(), inference::Provider::kCpu);
  Batch batch(2);
  ASSERT_TRUE(batch.Run(**loaded).ok());
  EXPECT_TRUE(batch.mouths == PlainLoudness(batch, {5, 5, 155, 150}));
}

TEST(Synctalk, DrawsWithThe328Layout) {
  const auto loaded = Load(FakeSynctalkEncoder(), LoudnessGenerator(320), Files(Layout328()));
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ((*loaded)->layout().resized_px(), 328);
  Batch batch(2, 320);
  ASSERT_TRUE(batch.Run(**loaded).ok());
  EXPECT_TRUE(batch.mouths == PlainLoudness(batch, {10, 10, 310, 300}));
}

TEST(Synctalk, EncodesEveryWindowIntoItsOwnRow) {
  const auto loaded = Load(FakeSynctalkEncoder(), UnmaskedGenerator(kInner));
  ASSERT_TRUE(loaded.ok());
  std::vector<float> windows, features(5 * kFeatures);
  for (int i = 0; i < 5; ++i) windows.insert(windows.end(), kWindow, static_cast<float>(2 * i - 4));
  ASSERT_TRUE((*loaded)->Encode(5, windows, features).ok());
  for (size_t k = 0; k < features.size(); ++k) {
    ASSERT_EQ(features[k], static_cast<float>(k / kFeatures) / 4) << k;
  }
}

TEST(Synctalk, RefusesSwappedFilesInOneLineThatNamesBothShapes) {
  EXPECT_EQ(Refusal(Load(UnmaskedGenerator(kInner), FakeSynctalkEncoder())),
            "audio_encoder.onnx: found input float32[N,6,160,160], audio float32[N,32,16,16]"
            " -> output float32[N,3,160,160], want an audio encoder with [N,1,80,16] -> [N,512]"
            " (the two files look swapped)");
}

TEST(Synctalk, RefusesTheSameEncoderTwice) {
  EXPECT_EQ(Refusal(Load(FakeSynctalkEncoder(), FakeSynctalkEncoder())),
            "generator.onnx: found mel float32[N,1,80,16] -> features float32[N,512], want a"
            " generator with [N,6,160,160], [N,32,16,16] -> [N,3,160,160]"
            " (generator.inner_px = 160)");
}

TEST(Synctalk, RefusesAGeneratorOfAnotherSizeThanTheLayout) {
  EXPECT_THAT(Refusal(Load(FakeSynctalkEncoder(), UnmaskedGenerator(320))),
              testing::AllOf(HasSubstr("found input float32[N,6,320,320]"),
                             HasSubstr("want a generator with [N,6,160,160]"),
                             HasSubstr("generator.inner_px = 160")));
}

TEST(Synctalk, RefusesTensorsOfAnyOtherShape) {
  const inference::TensorInfo mel{"mel", ElementType::kFloat32, {-1, 1, 80, 16}};
  const inference::TensorInfo features{"features", ElementType::kFloat32, {-1, 512}};
  const FakeModel generator = UnmaskedGenerator(kInner), encoder = FakeSynctalkEncoder();
  const std::vector<FakeModel> encoders = {
      Stranger({{"mel", ElementType::kFloat32, {-1, 80, 16}}}, {features}),
      Stranger({{"mel", ElementType::kFloat32, {-1, 1, 16, 80}}}, {features}),
      Stranger({mel}, {{"features", ElementType::kFloat32, {-1, 256}}}),
      Stranger({mel, mel}, {features}),
      Stranger({mel}, {features, features}),
      Stranger({}, {}),
  };
  for (const FakeModel& bad : encoders) {
    EXPECT_THAT(Refusal(Load(bad, generator)), HasSubstr("audio_encoder.onnx: found "));
  }
  FakeModel last = generator;
  last.outputs[0].dims = {-1, kInner, kInner, 3};
  FakeModel one = generator;
  one.inputs.pop_back();
  FakeModel three = generator;
  three.inputs.push_back(mel);
  FakeModel audio = generator;
  audio.inputs[1].dims = {-1, 16, 32, 16};
  for (const FakeModel& bad : {last, one, three, audio}) {
    EXPECT_THAT(Refusal(Load(encoder, bad)), HasSubstr("generator.onnx: found "));
  }
}

TEST(Synctalk, KnowsInputsByShapeWhateverTheirOrderAndNames) {
  const FakeModel usual = LoudnessGenerator(kInner);
  FakeModel other = usual;
  std::swap(other.inputs[0], other.inputs[1]);
  other.inputs[0].name = "x0";
  other.inputs[1].name = "x1";
  other.run = [usual](int64_t n, auto inputs, auto outputs) {
    const std::span<const float> in[] = {inputs[1], inputs[0]};
    return usual.run(n, in, outputs);
  };
  const auto loaded = Load(FakeSynctalkEncoder(), other);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  Batch batch(1);
  ASSERT_TRUE(batch.Run(**loaded).ok());
  EXPECT_TRUE(batch.mouths == PlainLoudness(batch, {5, 5, 155, 150}));
}

TEST(Synctalk, RefusesAnotherAudioKind) {
  GeneratorFiles files = Files();
  files.audio_kind = "hubert";
  EXPECT_EQ(Refusal(Load(FakeSynctalkEncoder(), UnmaskedGenerator(kInner), files)),
            "audio.kind = 'hubert': family synctalk wants ave");
}

TEST(Synctalk, RefusesALayoutOutsideItsLimits) {
  avatar::MouthLayout layout;
  layout.inner_px = -1;  // equals a free dimension, which is no size
  EXPECT_EQ(Refusal(Load(FakeSynctalkEncoder(), UnmaskedGenerator(-1), Files(layout))),
            "generator.inner_px = -1: want 16..2048");
}

TEST(Synctalk, PassesOnWhyAFileDoesNotLoad) {
  FakeBackend backend;
  backend.models["audio_encoder.onnx"] = FakeSynctalkEncoder();
  EXPECT_EQ(Refusal(LoadGenerator(Files(), backend, {})),
            "generator.onnx: not a model this fake keeps");
}

TEST(Synctalk, RunsEachNetworkOnceAtLoadAndPassesItsFailureOn) {
  const FakeModel encoder = FakeSynctalkEncoder();
  FakeModel generator = UnmaskedGenerator(kInner);
  ASSERT_TRUE(Load(encoder, generator).ok());
  EXPECT_EQ(encoder.counts->runs, 1);
  EXPECT_EQ(generator.counts->runs, 1);
  generator.run = [](int64_t, auto, auto) { return Status(Code::kInternal, "no kernel"); };
  EXPECT_EQ(Load(encoder, generator).status(),
            Status(Code::kInternal, "generator.onnx: no kernel"));
}

TEST(Synctalk, GivesTheSameMouthsAtEveryBatch) {
  for (const int64_t model_batch : {-1, 1, 4, 8}) {
    for (const auto provider : {inference::Provider::kCpu, inference::Provider::kCuda}) {
      const auto loaded = Load(FakeSynctalkEncoder(16, model_batch),
                               LoudnessGenerator(kInner, model_batch), Files(), provider);
      ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
      for (const int64_t n : {1, 3, 8, 11}) {
        Batch batch(n);
        ASSERT_TRUE(batch.Run(**loaded).ok());
        EXPECT_TRUE(batch.mouths == PlainLoudness(batch, {5, 5, 155, 150}))
            << n << " frames, model batch " << model_batch;
      }
    }
  }
}

TEST(Synctalk, RunsOneByOneOnACpuAndInBatchesElsewhere) {
  struct Case {
    int64_t model_batch;
    inference::Provider provider;
    int64_t preferred, runs_of_11;
  };
  const Case cases[] = {{-1, inference::Provider::kCpu, 1, 11},
                        {-1, inference::Provider::kCuda, 8, 2},
                        {4, inference::Provider::kCpu, 4, 3},
                        {4, inference::Provider::kCuda, 4, 3},
                        {1, inference::Provider::kCuda, 1, 11}};
  for (const Case& c : cases) {
    const FakeModel generator = UnmaskedGenerator(kInner, c.model_batch);
    const auto loaded = Load(FakeSynctalkEncoder(), generator, Files(), c.provider);
    ASSERT_TRUE(loaded.ok());
    EXPECT_EQ((*loaded)->preferred_batch(), c.preferred);
    EXPECT_EQ((*loaded)->provider(), c.provider);
    generator.counts->runs = 0;
    Batch batch(11);
    ASSERT_TRUE(batch.Run(**loaded).ok());
    EXPECT_EQ(generator.counts->runs, c.runs_of_11) << "model batch " << c.model_batch;
  }
}

TEST(Synctalk, PassesBadValuesOnForTheCallerToCount) {
  for (const float value : {NAN, INFINITY, -1.0F, 2.0F}) {
    const auto loaded = Load(FakeSynctalkEncoder(), BadValueGenerator(kInner, value, 0.045F));
    ASSERT_TRUE(loaded.ok());
    Batch batch(2);  // levels 1/32 and 2/32: only the second is above
    ASSERT_TRUE(batch.Run(**loaded).ok());
    const size_t plane = kInner * kInner, centre = 80 * kInner + 80;
    EXPECT_EQ(batch.mouths[centre], batch.pictures[centre]);
    const float got = batch.mouths[3 * plane + centre];
    EXPECT_TRUE(std::isnan(value) ? std::isnan(got) : got == value) << got;
  }
}

TEST(Synctalk, ServesManyCallersAtOnceWithoutMixingTheirFrames) {
  const auto loaded = Load(FakeSynctalkEncoder(), LoudnessGenerator(kInner, 4));
  ASSERT_TRUE(loaded.ok());
  std::vector<std::thread> callers;
  std::atomic<int> wrong = 0;
  for (int64_t n = 1; n <= 8; ++n) {
    callers.emplace_back([&, n] {
      Batch batch(n);
      for (int turn = 0; turn < 3; ++turn) {
        if (!batch.Run(**loaded).ok()) ++wrong;
        if (batch.mouths != PlainLoudness(batch, {5, 5, 155, 150})) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(LoadGenerator, RefusesAnUnknownFamilyAndNamesTheKnown) {
  GeneratorFiles files = Files();
  files.family = "wav3lip";
  EXPECT_EQ(Refusal(Load(FakeSynctalkEncoder(), UnmaskedGenerator(kInner), files)),
            "generator.family = 'wav3lip': want one of: synctalk, ultralight, wav2lip");
  EXPECT_THAT(FamilyNames(), testing::ElementsAre("synctalk", "ultralight", "wav2lip"));
}

}  // namespace
}  // namespace lipcast::generator
