// The picture steps of one 1280x720 frame on one thread, in microseconds.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

#include "lipcast/imaging/colour.h"
#include "lipcast/imaging/compose.h"
#include "lipcast/imaging/pack.h"
#include "lipcast/imaging/resize.h"

namespace lipcast::imaging {
namespace {

constexpr int kWidth = 1280, kHeight = 720;
const Rect kBox{548, 301, 732, 485};  // 184x184

Picture Noise(PixelFormat format, int width, int height) {
  Result<Picture> picture = Picture::Create(format, width, height);
  std::minstd_rand random(7);
  for (size_t i = 0; i < picture->size_bytes(); ++i) {
    picture->data()[i] = static_cast<uint8_t>(random() >> 12);
  }
  return std::move(*picture);
}

std::vector<float> NoiseFloats(size_t count) {
  std::vector<float> values(count);
  std::minstd_rand random(8);
  std::uniform_real_distribution<float> unit(0.0f, 1.0f);
  for (float& v : values) v = unit(random);
  return values;
}

// The part of a mouth step that a benchmark times, for frames of one format.
struct Fixture {
  explicit Fixture(PixelFormat format, int inner_px = 160, int feather_px = 0)
      : layout{.inner_px = inner_px, .feather_px = feather_px},
        compositor(*MouthCompositor::Create(layout)),
        frame(Noise(format, kWidth, kHeight)),
        resized(Noise(PixelFormat::kBgr24, layout.resized_px(), layout.resized_px())),
        output(NoiseFloats(3 * static_cast<size_t>(inner_px) * inner_px)),
        input(2 * output.size()) {}
  avatar::MouthLayout layout;
  MouthCompositor compositor;
  Picture frame, resized;
  std::vector<float> output, input;
  Scratch scratch;
};

void Fail(benchmark::State& state, const Status& status) {
  if (!status.ok()) state.SkipWithError(status.message().c_str());
}

void BM_Pack(benchmark::State& state) {
  Fixture f(PixelFormat::kBgr24, static_cast<int>(state.range(0)));
  for (auto _ : state) {
    PackMouth(f.layout, f.resized.view(), f.input);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Pack)->Arg(160)->Arg(320)->Unit(benchmark::kMicrosecond);

void BM_Unpack(benchmark::State& state) {
  Fixture f(PixelFormat::kBgr24, static_cast<int>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(UnpackMouth(f.layout, f.output, f.resized.mutable_view()));
  }
}
BENCHMARK(BM_Unpack)->Arg(160)->Arg(320)->Unit(benchmark::kMicrosecond);

void BM_Cubic168To184(benchmark::State& state) {
  const CubicResizer resizer = *CubicResizer::Create(168, 168, 184, 184);
  const Picture src = Noise(PixelFormat::kBgr24, 168, 168);
  Picture dst = Noise(PixelFormat::kBgr24, 184, 184);
  std::vector<uint8_t> scratch(resizer.scratch_bytes());
  for (auto _ : state) {
    resizer.Resize(src.view(), dst.mutable_view(), scratch);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Cubic168To184)->Unit(benchmark::kMicrosecond);

void BM_Crop(benchmark::State& state, PixelFormat format) {
  Fixture f(format);
  for (auto _ : state) {
    Fail(state,
         f.compositor.CropResized(f.frame.view(), kBox, f.resized.mutable_view(), f.scratch));
  }
}
BENCHMARK_CAPTURE(BM_Crop, bgr24, PixelFormat::kBgr24)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Crop, i420, PixelFormat::kI420)->Unit(benchmark::kMicrosecond);

void BM_Paste(benchmark::State& state, PixelFormat format, int feather_px) {
  Fixture f(format, 160, feather_px);
  for (auto _ : state) {
    Fail(state,
         f.compositor.Paste(f.resized.view(), kBox, 1.0f, f.frame.mutable_view(), f.scratch));
  }
}
BENCHMARK_CAPTURE(BM_Paste, bgr24, PixelFormat::kBgr24, 0)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Paste, bgr24_feather, PixelFormat::kBgr24, 8)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Paste, i420, PixelFormat::kI420, 0)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Paste, i420_feather, PixelFormat::kI420, 8)->Unit(benchmark::kMicrosecond);

// Unpack, cubic and paste: the goal is 250 us.
void BM_UnpackCubicPaste(benchmark::State& state, PixelFormat format) {
  Fixture f(format);
  for (auto _ : state) {
    benchmark::DoNotOptimize(UnpackMouth(f.layout, f.output, f.resized.mutable_view()));
    Fail(state,
         f.compositor.Paste(f.resized.view(), kBox, 1.0f, f.frame.mutable_view(), f.scratch));
  }
}
BENCHMARK_CAPTURE(BM_UnpackCubicPaste, bgr24, PixelFormat::kBgr24)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_UnpackCubicPaste, i420, PixelFormat::kI420)->Unit(benchmark::kMicrosecond);

// Crop, pack, unpack and paste: everything but the network.
void BM_FullCompose(benchmark::State& state, PixelFormat format) {
  Fixture f(format);
  for (auto _ : state) {
    Fail(state,
         f.compositor.CropResized(f.frame.view(), kBox, f.resized.mutable_view(), f.scratch));
    PackMouth(f.layout, f.resized.view(), f.input);
    benchmark::DoNotOptimize(UnpackMouth(f.layout, f.output, f.resized.mutable_view()));
    Fail(state,
         f.compositor.Paste(f.resized.view(), kBox, 1.0f, f.frame.mutable_view(), f.scratch));
  }
}
BENCHMARK_CAPTURE(BM_FullCompose, bgr24, PixelFormat::kBgr24)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_FullCompose, i420, PixelFormat::kI420)->Unit(benchmark::kMicrosecond);

void BM_I420ToBgr(benchmark::State& state) {
  const Picture src = Noise(PixelFormat::kI420, kWidth, kHeight);
  Picture dst = Noise(PixelFormat::kBgr24, kWidth, kHeight);
  for (auto _ : state) {
    I420ToBgr(src.view(), dst.mutable_view());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_I420ToBgr)->Unit(benchmark::kMicrosecond);

void BM_BgrToI420(benchmark::State& state) {
  const Picture src = Noise(PixelFormat::kBgr24, kWidth, kHeight);
  Picture dst = Noise(PixelFormat::kI420, kWidth, kHeight);
  for (auto _ : state) {
    BgrToI420(src.view(), dst.mutable_view());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_BgrToI420)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace lipcast::imaging
