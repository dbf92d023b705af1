#include "lipcast/pipeline/frame_painter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <thread>

#include "lipcast/imaging/colour.h"
#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

using inference::FakeModel;
using testing::HasSubstr;

constexpr size_t kContextFloats = 16 * 512;

std::vector<float> Context(uint32_t seed) {
  std::vector<float> context(kContextFloats);
  for (size_t i = 0; i < context.size(); ++i) {
    context[i] = static_cast<float>((i * 31 + seed * 17) % 256) / 256;
  }
  return context;
}

/// A job with memory of its own.
struct Canvas {
  explicit Canvas(int64_t background, float weight, uint32_t seed = 1,
                  PixelFormat format = PixelFormat::kI420, int width = 64, int height = 48)
      : picture(*Picture::Create(format, width, height)), context(Context(seed)) {
    job.background = background;
    job.weight = weight;
    job.context = context;
    job.out = picture.mutable_view();
  }
  Picture picture;
  std::vector<float> context;
  PaintJob job;
};

/// Paints all of them at once, and gives the hash of each.
std::vector<uint64_t> PaintAll(const LoadedAvatar& avatar, std::vector<Canvas>& canvases,
                               WorkerScratch& scratch, StageTimes& times) {
  std::vector<PaintJob> jobs;
  for (const Canvas& canvas : canvases) jobs.push_back(canvas.job);
  const Status status = Paint(avatar, jobs, scratch, times);
  EXPECT_TRUE(status.ok()) << status.ToString();
  std::vector<uint64_t> hashes;
  for (size_t i = 0; i < jobs.size(); ++i) {
    canvases[i].job = jobs[i];
    hashes.push_back(HashOf(canvases[i].picture.view()));
  }
  return hashes;
}

uint64_t SourceHash(const LoadedAvatar& avatar, int64_t frame) {
  return HashOf((*avatar.avatar->Frame(frame))->view());
}

TEST(FramePainter, WeightZeroIsTheSourcePictureAndRunsNoNetwork) {
  StageOptions stage_options;
  const auto runs = stage_options.generator.counts;
  TestStage stage(stage_options);
  const auto avatar = stage.Load();
  const int64_t before = runs->runs;
  WorkerScratch scratch;
  StageTimes times;
  std::vector<Canvas> canvases;
  for (int64_t i = 0; i < 10; ++i) canvases.emplace_back(i, 0.0F);
  const auto hashes = PaintAll(*avatar, canvases, scratch, times);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(hashes[i], SourceHash(*avatar, static_cast<int64_t>(i)));
    EXPECT_FALSE(canvases[i].job.generated);
  }
  EXPECT_EQ(runs->runs, before);
  EXPECT_EQ(times.calls(Stage::kGenerator), 0);
  EXPECT_EQ(times.calls(Stage::kBackground), 10);
}

TEST(FramePainter, AFrameDependsOnItsJobAloneAtAnyGrouping) {
  TestStage stage;
  StageAvatar look;
  look.no_face = {2, 5};
  const auto avatar = stage.Load(look);
  WorkerScratch scratch;
  StageTimes times;
  // Weights 0, 1 and between, faces and none, mixed.
  const auto make = [](size_t i) {
    return Canvas(static_cast<int64_t>(i * 3 % 10), static_cast<float>(i % 4) / 3,
                  static_cast<uint32_t>(i));
  };
  std::vector<uint64_t> alone;
  for (size_t i = 0; i < 25; ++i) {
    std::vector<Canvas> one;
    one.push_back(make(i));
    WorkerScratch fresh;
    alone.push_back(PaintAll(*avatar, one, fresh, times)[0]);
  }
  for (size_t group : {25, 8, 3, 2}) {
    for (size_t first = 0; first < 25; first += group) {
      std::vector<Canvas> canvases;
      for (size_t i = first; i < std::min<size_t>(25, first + group); ++i) {
        canvases.push_back(make(i));
      }
      const auto hashes = PaintAll(*avatar, canvases, scratch, times);
      for (size_t i = 0; i < hashes.size(); ++i) {
        EXPECT_EQ(hashes[i], alone[first + i]) << group << ": " << first + i;
      }
    }
  }
}

TEST(FramePainter, ManyThreadsPaintTheSame) {
  TestStage stage;
  const auto avatar = stage.Load();
  StageTimes times;
  std::vector<std::vector<uint64_t>> hashes(8);
  std::vector<std::thread> threads;
  for (auto& result : hashes) {
    threads.emplace_back([&] {
      WorkerScratch scratch;
      std::vector<Canvas> canvases;
      for (int64_t i = 0; i < 20; ++i) {
        canvases.emplace_back(i % 10, 1.0F, static_cast<uint32_t>(i));
      }
      result = PaintAll(*avatar, canvases, scratch, times);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : hashes) EXPECT_EQ(result, hashes[0]);
  EXPECT_EQ(times.calls(Stage::kPaste), 8 * 20);
}

TEST(FramePainter, OnlyTheBoxChanges) {
  TestStage stage;
  for (PixelFormat source : {PixelFormat::kI420, PixelFormat::kBgra32}) {
    StageAvatar look;
    look.format = source;
    const auto avatar = stage.Load(look);
    WorkerScratch scratch;
    StageTimes times;
    std::vector<Canvas> canvases;
    canvases.emplace_back(3, 1.0F, 1, PixelFormat::kBgr24);
    canvases.emplace_back(3, 0.0F, 1, PixelFormat::kBgr24);
    PaintAll(*avatar, canvases, scratch, times);
    int inside = 0;
    for (int y = 0; y < 48; ++y) {
      for (int x = 0; x < 64; ++x) {
        const Rect& box = kStageBox;
        const bool in_box = x >= box.x0 && x < box.x1 && y >= box.y0 && y < box.y1;
        const auto at = static_cast<size_t>(3 * (y * 64 + x));
        const bool same =
            std::equal(canvases[0].picture.data() + at, canvases[0].picture.data() + at + 3,
                       canvases[1].picture.data() + at);
        if (in_box) {
          inside += !same;
        } else if (source == PixelFormat::kBgra32) {  // chroma of I420 reaches one pixel out
          ASSERT_TRUE(same) << x << ", " << y;
        }
      }
    }
    EXPECT_GT(inside, 1000);
  }
}

TEST(FramePainter, TheWeightMovesFromTheSourceToTheMouth) {
  StageOptions stage_options;
  stage_options.generator = FlatGenerator(1);
  TestStage stage(stage_options);
  const auto avatar = stage.Load();
  WorkerScratch scratch;
  StageTimes times;
  std::vector<Canvas> canvases;
  for (int step = 0; step <= 10; ++step) canvases.emplace_back(0, static_cast<float>(step) / 10);
  PaintAll(*avatar, canvases, scratch, times);
  const size_t middle = 24 * 64 + 28;
  const double source = canvases[0].picture.data()[middle];
  const double mouth = canvases[10].picture.data()[middle];
  EXPECT_GT(mouth, 233);  // white, of limited range
  for (size_t step = 0; step <= 10; ++step) {
    const double want = source + (mouth - source) * static_cast<double>(step) / 10;
    EXPECT_NEAR(canvases[step].picture.data()[middle], want, 1.5) << step;
  }
}

TEST(FramePainter, ScratchMayGoFromOneAvatarToAnother) {
  TestStage stage;
  StageAvatar large;
  large.width = 200;
  large.height = 150;
  large.seed = 5;
  const auto small_avatar = stage.Load(), large_avatar = stage.Load(large);
  StageTimes times;
  WorkerScratch scratch;
  std::vector<uint64_t> first;
  for (int round = 0; round < 2; ++round) {
    std::vector<Canvas> small_ones, large_ones;
    for (int64_t i = 0; i < 4; ++i) {
      small_ones.emplace_back(i, 1.0F);
      large_ones.emplace_back(i, 1.0F, 1, PixelFormat::kI420, 200, 150);
    }
    auto hashes = PaintAll(*small_avatar, small_ones, scratch, times);
    const auto more = PaintAll(*large_avatar, large_ones, scratch, times);
    hashes.insert(hashes.end(), more.begin(), more.end());
    if (round == 0) first = hashes;
    EXPECT_EQ(hashes, first);
  }
}

TEST(FramePainter, AnotherSizeIsThePaintedPictureScaled) {
  TestStage stage;
  const auto avatar = stage.Load();
  WorkerScratch scratch;
  StageTimes times;
  for (PixelFormat format : {PixelFormat::kI420, PixelFormat::kBgr24}) {
    for (float weight : {0.0F, 1.0F}) {
      std::vector<Canvas> full, scaled;
      full.emplace_back(1, weight, 1, format);
      scaled.emplace_back(1, weight, 1, format, 32, 25);
      PaintAll(*avatar, full, scratch, times);
      auto want = *Picture::Create(format, 32, 25);
      ASSERT_TRUE(
          imaging::ResizePicture(full[0].picture.view(), want.mutable_view(), scratch.imaging)
              .ok());
      EXPECT_EQ(PaintAll(*avatar, scaled, scratch, times)[0], HashOf(want.view()));
    }
  }
}

TEST(FramePainter, AFrameWithoutAFaceIsTheSource) {
  TestStage stage;
  StageAvatar look;
  look.no_face = {0};
  const auto avatar = stage.Load(look);
  WorkerScratch scratch;
  StageTimes times;
  std::vector<Canvas> canvases;
  canvases.emplace_back(0, 1.0F);
  EXPECT_EQ(PaintAll(*avatar, canvases, scratch, times)[0], SourceHash(*avatar, 0));
  EXPECT_FALSE(canvases[0].job.generated);
  EXPECT_EQ(times.calls(Stage::kGenerator), 0);
}

TEST(FramePainter, OneNanSparesTheOthersOfItsGroup) {
  StageOptions stage_options;
  inference::FakeModel& model = stage_options.generator;
  model.run = [run = model.run](int64_t n, auto inputs, auto outputs) {
    const Status status = run(n, inputs, outputs);
    const size_t one = outputs[0].size() / static_cast<size_t>(n);
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      if (inputs[1][i * kContextFloats] == Context(1)[0]) outputs[0][i * one + one / 2] = NAN;
    }
    return status;
  };
  TestStage stage(stage_options);
  const auto avatar = stage.Load();
  WorkerScratch scratch;
  StageTimes times;
  std::vector<Canvas> canvases;
  for (int64_t i = 0; i < 3; ++i) canvases.emplace_back(i, 1.0F, static_cast<uint32_t>(i));
  const auto hashes = PaintAll(*avatar, canvases, scratch, times);
  EXPECT_EQ(hashes[1], SourceHash(*avatar, 1));
  EXPECT_EQ(canvases[1].job.not_finite, 1);
  EXPECT_FALSE(canvases[1].job.generated);
  for (int64_t i : {0, 2}) {
    std::vector<Canvas> alone;
    alone.emplace_back(i, 1.0F, static_cast<uint32_t>(i));
    EXPECT_EQ(PaintAll(*avatar, alone, scratch, times)[0], hashes[static_cast<size_t>(i)]);
    EXPECT_TRUE(canvases[static_cast<size_t>(i)].job.generated);
    EXPECT_EQ(canvases[static_cast<size_t>(i)].job.not_finite, 0);
  }
}

TEST(FramePainter, KeptFacesChangeNoByteAndStayInTheirBudget) {
  const auto hashes_with = [](int64_t bytes, avatar::PictureCache::Stats* stats) {
    StageOptions stage_options;
    stage_options.face_cache_bytes = bytes;
    TestStage stage(stage_options);
    const auto avatar = stage.Load();
    WorkerScratch scratch;
    StageTimes times;
    std::vector<uint64_t> hashes;
    for (uint32_t lap = 0; lap < 3; ++lap) {  // the same faces under other sounds
      std::vector<Canvas> canvases;
      for (int64_t i = 0; i < 10; ++i) {
        canvases.emplace_back(i, 1.0F, lap * 10 + static_cast<uint32_t>(i));
      }
      for (uint64_t hash : PaintAll(*avatar, canvases, scratch, times)) hashes.push_back(hash);
    }
    *stats = avatar->faces->stats();
    return hashes;
  };
  avatar::PictureCache::Stats none, all, three;
  const auto uncached = hashes_with(0, &none);
  EXPECT_EQ(hashes_with(1 << 20, &all), uncached);
  const int64_t face_bytes = all.bytes_held / 10;
  EXPECT_EQ(hashes_with(3 * face_bytes, &three), uncached);
  EXPECT_EQ(none.pictures, 0);
  EXPECT_EQ(all.pictures, 10);
  EXPECT_EQ(all.hits, 20);
  EXPECT_EQ(three.bytes_peak, 3 * face_bytes);
}

TEST(FramePainter, TakesThePictureInputOfAClientPlanarAsItIs) {
  StageOptions stage_options;
  std::vector<float> seen;
  stage_options.generator.run = [&seen, run = stage_options.generator.run](int64_t n, auto inputs,
                                                                           auto outputs) {
    seen.insert(seen.end(), inputs[0].begin(), inputs[0].end());
    return run(n, inputs, outputs);
  };
  TestStage stage(stage_options);
  const auto avatar = stage.Load();
  const auto side = static_cast<size_t>(avatar->generator->layout().inner_px);
  std::vector<float> pictures(2 * 6 * side * side);
  for (size_t i = 0; i < pictures.size(); ++i) pictures[i] = static_cast<float>(i % 251) / 251;
  std::vector<Canvas> canvases;
  for (int64_t i = 0; i < 2; ++i) {
    canvases.emplace_back(i, 1.0F);
    canvases.back().job.picture =
        std::span(pictures).subspan(static_cast<size_t>(i) * 6 * side * side, 6 * side * side);
  }
  WorkerScratch scratch;
  StageTimes times;
  seen.clear();  // of the warm-up
  PaintAll(*avatar, canvases, scratch, times);
  EXPECT_TRUE(seen == pictures);
}

/// Whole: the unmasked picture times the context's own values. Its parts: that picture, and the
/// rest.
FakeModel PictureTimesSound(bool audio_part) {
  FakeModel model = DetailGenerator();
  if (audio_part) model.inputs[0] = {"features", model.inputs[0].type, model.outputs[0].dims};
  model.run = [](int64_t n, auto inputs, auto outputs) {
    const size_t mouth = outputs[0].size() / static_cast<size_t>(n);
    const size_t picture = inputs[0].size() / static_cast<size_t>(n);
    for (size_t i = 0; i < outputs[0].size(); ++i) {
      const size_t item = i / mouth, at = i % mouth;
      outputs[0][i] = inputs[0][item * picture + at] * inputs[1][item * 8192 + at];
    }
    return Status();
  };
  return model;
}

FakeModel FirstPlanes() {
  FakeModel model = DetailGenerator();
  model.outputs[0].name = "features";
  model.inputs.pop_back();
  model.run = [](int64_t, auto inputs, auto outputs) {
    std::ranges::copy(inputs[0].first(outputs[0].size()), outputs[0].begin());
    return Status();
  };
  return model;
}

TEST(FramePainter, AGeneratorInTwoPartsDrawsTheSameFramesWhateverItsBudget) {
  const auto audio = Speech(40 * 640) + Silence(20 * 640) + Speech(20 * 640, 2);
  const int64_t frame_bytes = 3 * kStageMouthPx * kStageMouthPx * 4;
  std::vector<uint64_t> whole;
  for (const int64_t frames : {0, 1, 4, 100}) {  // 0: the whole network
    for (const int batch : {1, 4}) {
      StageOptions options;
      options.generator = PictureTimesSound(false);
      const FakeModel image = FirstPlanes();
      if (frames > 0) options.parts = {image, PictureTimesSound(true)};
      options.features = {frames * frame_bytes, generator::FeaturePrecision::kFull};
      TestStage stage(options);
      const auto avatar = stage.Load();
      ASSERT_EQ(avatar->generator->feature_stats().has_value(), frames > 0);
      SessionOptions session_options;
      session_options.batch = batch;
      auto session = stage.Open(avatar, session_options);
      const std::vector<uint64_t> hashes = Play(*session, audio).hashes();
      if (whole.empty()) whole = hashes;
      EXPECT_EQ(hashes, whole) << frames << " frames kept, batch " << batch;
      if (frames == 100) {
        EXPECT_EQ(avatar->generator->feature_stats()->frames, 10);
        EXPECT_LE(image.counts->runs, 1 + 2 * 10);  // two workers may meet at the same frame
      }
    }
  }
  EXPECT_GT(std::set<uint64_t>(whole.begin(), whole.end()).size(), 50U);
}

TEST(FramePainter, PassesOnWhatWentWrong) {
  StageOptions stage_options;
  stage_options.generator = FailingGenerator(Status(Code::kResourceExhausted, "out of memory"));
  TestStage stage(stage_options);
  const auto avatar = stage.Load();
  WorkerScratch scratch;
  StageTimes times;
  Canvas draws(0, 1.0F), beyond(10, 0.0F);
  EXPECT_THAT(Paint(*avatar, std::span(&draws.job, 1), scratch, times).ToString(),
              HasSubstr("out of memory"));
  const Status outside = Paint(*avatar, std::span(&beyond.job, 1), scratch, times);
  EXPECT_EQ(outside.code(), Code::kOutOfRange) << outside.ToString();
  EXPECT_TRUE(Paint(*avatar, {}, scratch, times).ok());
}

}  // namespace
}  // namespace lipcast::pipeline
