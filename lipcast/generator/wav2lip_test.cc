#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "lipcast/generator/feature_ring.h"
#include "lipcast/generator/test_load.h"

namespace lipcast::generator {
namespace {

using inference::ElementType;
using inference::FakeModel;
using testing::HasSubstr;

constexpr size_t kWindow = 80 * 16;

avatar::MouthLayout Layout(int side) {
  avatar::MouthLayout layout;
  layout.inner_px = side;
  layout.border_px = 0;
  layout.mask = {0, side / 2, side, side};
  layout.masked_first = true;
  return layout;
}

GeneratorFiles Files(int side = 96) {
  GeneratorFiles files;
  files.family = "wav2lip";
  files.audio_kind = "mel";
  files.layout = Layout(side);
  files.generator = "generator.onnx";
  return files;
}

/// Gives the second, unmasked picture back, its lower half filled with the mean of the mel window.
FakeModel MelPainter(int side, int64_t batch = -1) {
  FakeModel model;
  model.inputs = {{"mel", ElementType::kFloat32, {batch, 1, 80, 16}},
                  {"picture", ElementType::kFloat32, {batch, 6, side, side}}};
  model.outputs = {{"output", ElementType::kFloat32, {batch, 3, side, side}}};
  const size_t plane = static_cast<size_t>(side) * side;
  model.run = [plane](int64_t n, auto inputs, auto outputs) {
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const auto mel = inputs[0].subspan(i * kWindow, kWindow);
      const float level = std::accumulate(mel.begin(), mel.end(), 0.0F) / kWindow;
      const auto out = outputs[0].subspan(i * 3 * plane, 3 * plane);
      std::ranges::copy(inputs[1].subspan((2 * i + 1) * 3 * plane, 3 * plane), out.begin());
      for (size_t c = 0; c < 3; ++c) {
        std::ranges::fill(out.subspan(c * plane + plane / 2, plane / 2), level);
      }
    }
    return Status();
  };
  return model;
}

Result<std::shared_ptr<const Generator>> Load(
    const FakeModel& model, const GeneratorFiles& files = Files(),
    inference::Provider provider = inference::Provider::kCpu) {
  return LoadFakes({{"generator.onnx", model}}, files, provider);
}

TEST(Wav2Lip, DrawsFromTheFramesOwnMelWindow) {
  for (const int side : {96, 288}) {
    for (const int64_t batch : {-1, 1, 4}) {
      const auto loaded = Load(MelPainter(side, batch), Files(side));
      ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
      const AudioContext& context = (*loaded)->context();
      ASSERT_EQ(context.floats(), static_cast<int64_t>(kWindow));
      EXPECT_EQ(context.last_window(7), 7) << "a frame waits for its own window alone";

      // As the timeline does it: windows into features, the ring, one frame's rows.
      constexpr int64_t kFrames = 6;
      FeatureRing ring(context, 64);
      std::vector<float> contexts;
      for (int64_t i = 0; i < kFrames; ++i) {
        const std::vector<float> window(kWindow, static_cast<float>(i) / 8);
        ASSERT_TRUE((*loaded)->Encode(1, window, ring.Put(i)).ok());
      }
      for (int64_t i = 0; i < kFrames; ++i) {
        contexts.resize(contexts.size() + kWindow);
        ASSERT_TRUE(ring.FillContext(i, std::nullopt, std::span(contexts).last(kWindow)).ok());
      }
      const size_t plane = static_cast<size_t>(side) * side;
      std::vector<float> pictures(kFrames * 6 * plane), mouths(kFrames * 3 * plane, -7.0F);
      for (size_t p = 0; p < pictures.size(); ++p) {
        pictures[p] = static_cast<float>(p * 2654435761U % 1009) / 1009.0F;
      }
      const std::vector<int64_t> none(kFrames, -1);
      ASSERT_TRUE((*loaded)->Generate(none, pictures, contexts, mouths).ok());
      for (size_t p = 0; p < mouths.size(); ++p) {
        const size_t frame = p / (3 * plane), in_frame = p % (3 * plane);
        const float want = in_frame % plane >= plane / 2
                               ? static_cast<float>(frame) / 8
                               : pictures[(2 * frame + 1) * 3 * plane + in_frame];
        ASSERT_EQ(mouths[p], want) << p;
      }
    }
  }
}

TEST(Wav2Lip, RefusesANetworkOfAnotherSizeOrFamilyWithBothShapes) {
  EXPECT_EQ(Refusal(Load(MelPainter(288))),
            "generator.onnx: found mel float32[N,1,80,16], picture float32[N,6,288,288] -> output"
            " float32[N,3,288,288], want a generator with [N,6,96,96], [N,1,80,16] -> [N,3,96,96]"
            " (generator.inner_px = 96)");
  FakeModel synctalk = MelPainter(96);
  synctalk.inputs[0].dims = {-1, 32, 16, 16};
  EXPECT_THAT(Refusal(Load(synctalk)), HasSubstr("found mel float32[N,32,16,16]"));
}

TEST(Wav2Lip, RefusesAnotherAudioKind) {
  GeneratorFiles files = Files();
  files.audio_kind = "ave";
  EXPECT_EQ(Refusal(Load(MelPainter(96), files)), "audio.kind = 'ave': family wav2lip wants mel");
}

TEST(Wav2Lip, KnowsInputsByShapeWhateverTheirOrder) {
  const FakeModel usual = MelPainter(96);
  FakeModel other = usual;
  std::swap(other.inputs[0], other.inputs[1]);
  other.run = [usual](int64_t n, auto inputs, auto outputs) {
    const std::span<const float> in[] = {inputs[1], inputs[0]};
    return usual.run(n, in, outputs);
  };
  const auto a = Load(usual), b = Load(other);
  ASSERT_TRUE(a.ok() && b.ok());
  const std::vector<float> pictures(6 * 96 * 96, 0.25F), mel(kWindow, 0.5F);
  std::vector<float> from_a(3 * 96 * 96), from_b(3 * 96 * 96);
  const int64_t none[] = {-1};
  ASSERT_TRUE((*a)->Generate(none, pictures, mel, from_a).ok());
  ASSERT_TRUE((*b)->Generate(none, pictures, mel, from_b).ok());
  EXPECT_EQ(from_a, from_b);
  EXPECT_EQ(from_a.back(), 0.5F);
}

TEST(Wav2Lip, RunsOnceAtLoadAndPassesItsFailureOn) {
  FakeModel model = MelPainter(96);
  ASSERT_TRUE(Load(model).ok());
  EXPECT_EQ(model.counts->runs, 1);
  model.run = [](int64_t, auto, auto) { return Status(Code::kInternal, "no kernel"); };
  EXPECT_EQ(Load(model).status(), Status(Code::kInternal, "generator.onnx: no kernel"));
}

}  // namespace
}  // namespace lipcast::generator
