// What writing one 1280x720 frame costs. The content is a talking head's: a still background with
// fine texture, slow sway, a mouth that changes every frame.
#include <benchmark/benchmark.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "lipcast/media/h264_encoder.h"
#include "lipcast/media/jpeg_codec.h"
#include "lipcast/media/open_sink.h"
#include "lipcast/media/png_codec.h"

namespace lipcast::media {
namespace {

constexpr int kWidth = 1280, kHeight = 720;
constexpr int kFrames = 50;

Picture TalkingHead(int number) {
  Picture picture = *Picture::Create(PixelFormat::kI420, kWidth, kHeight);
  const MutablePictureView view = picture.mutable_view();
  const double sway = 4 * std::sin(number * 0.11);
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      uint32_t hash = static_cast<uint32_t>(x) * 374761393u + static_cast<uint32_t>(y) * 668265263u;
      hash = (hash ^ (hash >> 13)) * 1274126177u;
      double level = 70 + 40 * std::sin(x * 0.01) * std::cos(y * 0.013) + (hash >> 29);
      const double dx = (x - 640 - sway) / 170, dy = (y - 330) / 230.0;
      if (dx * dx + dy * dy < 1) level = 150 + 30 * (1 - dx * dx - dy * dy) + (hash >> 30);
      const double mx = (x - 640 - sway) / 60,
                   my = (y - 430) / (6 + 20 * std::fabs(std::sin(number * 0.7)));
      if (mx * mx + my * my < 1) level = 50 + 30 * mx * mx;
      view.plane[0][y * view.stride[0] + x] = static_cast<uint8_t>(level);
    }
  }
  for (int p = 1; p < 3; ++p) {
    for (int y = 0; y < kHeight / 2; ++y) {
      for (int x = 0; x < kWidth / 2; ++x) {
        const double dx = (x - 320 - sway / 2) / 85, dy = (y - 165) / 115.0;
        view.plane[p][y * view.stride[p] + x] =
            static_cast<uint8_t>(dx * dx + dy * dy < 1 ? (p == 1 ? 112 : 148) : 128);
      }
    }
  }
  return picture;
}

void Movie(benchmark::State& state, const std::string& preset) {
  std::vector<Picture> pictures;
  for (int i = 0; i < kFrames; ++i) pictures.push_back(TalkingHead(i));
  SinkOptions options;
  options.width = kWidth;
  options.height = kHeight;
  options.preset = preset;
  options.overwrite = true;
  const auto path = std::filesystem::temp_directory_path() / "lipcast-media-bench.mp4";
  int64_t bytes = 0;
  for (auto _ : state) {
    auto sink = OpenSink(path.string(), "", options);
    if (!sink.ok()) return state.SkipWithError(sink.status().message().c_str());
    for (const Picture& picture : pictures) {
      if (const Status status = (*sink)->WriteFrame(picture.view()); !status.ok()) {
        return state.SkipWithError(status.message().c_str());
      }
    }
    auto report = (*sink)->Finish();
    if (!report.ok()) return state.SkipWithError(report.status().message().c_str());
    bytes = report->bytes;
  }
  std::filesystem::remove(path);
  state.counters["ms_per_frame"] = benchmark::Counter(
      kFrames * 0.001, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  state.counters["kbit_per_s"] = static_cast<double>(bytes) * 8 / 1000 / (kFrames / 25.0);
}
BENCHMARK_CAPTURE(Movie, ultrafast, "ultrafast")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Movie, superfast, "superfast")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Movie, veryfast, "veryfast")->Unit(benchmark::kMillisecond);

/// One thread, a picture at a time, as a live stream has it. Beside JpegI420, which it replaces.
void H264Live(benchmark::State& state) {
  std::vector<Picture> pictures;
  for (int i = 0; i < kFrames; ++i) pictures.push_back(TalkingHead(i));
  H264Options options;
  options.width = kWidth;
  options.height = kHeight;
  options.bitrate_kbps = static_cast<int>(state.range(0));
  auto encoder = H264Encoder::Create(options);
  if (!encoder.ok()) return state.SkipWithError(encoder.status().message().c_str());
  size_t next = 0;
  double bytes = 0;
  for (auto _ : state) {
    const auto unit = (*encoder)->Encode(pictures[next++ % kFrames].view(), false);
    if (!unit.ok()) return state.SkipWithError(unit.status().message().c_str());
    bytes += static_cast<double>(unit->bytes.size());
  }
  state.counters["kbit_per_s"] =
      bytes * 8 / 1000 / (static_cast<double>(state.iterations()) / 25.0);
}
BENCHMARK(H264Live)->Arg(0)->Arg(1500)->Arg(4000)->Unit(benchmark::kMillisecond);

Picture ToBgrLike(const Picture& picture) {
  Picture bgr = *Picture::Create(PixelFormat::kBgr24, kWidth, kHeight);
  for (int i = 0; i < kWidth * kHeight; ++i) {
    for (int c = 0; c < 3; ++c) {
      bgr.data()[3 * i + c] = static_cast<uint8_t>(picture.data()[i] + 8 * c);
    }
  }
  return bgr;
}

void JpegI420(benchmark::State& state) {
  const Picture picture = TalkingHead(3);
  std::vector<uint8_t> out;
  for (auto _ : state) {
    if (!EncodeJpeg(picture.view(), 90, 0, &out).ok()) return state.SkipWithError("encode");
  }
  state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK(JpegI420)->Unit(benchmark::kMillisecond);

void JpegBgr(benchmark::State& state) {
  const Picture picture = ToBgrLike(TalkingHead(3));
  std::vector<uint8_t> out;
  for (auto _ : state) {
    if (!EncodeJpeg(picture.view(), 90, 0, &out).ok()) return state.SkipWithError("encode");
  }
  state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK(JpegBgr)->Unit(benchmark::kMillisecond);

void JpegDecode(benchmark::State& state) {
  std::vector<uint8_t> bytes;
  if (!EncodeJpeg(ToBgrLike(TalkingHead(3)).view(), 90, 0, &bytes).ok()) return;
  for (auto _ : state) {
    if (!DecodeJpeg(bytes).ok()) return state.SkipWithError("decode");
  }
}
BENCHMARK(JpegDecode)->Unit(benchmark::kMillisecond);

void Png(benchmark::State& state) {
  const Picture picture = ToBgrLike(TalkingHead(3));
  std::vector<uint8_t> out;
  for (auto _ : state) {
    if (!EncodePng(picture.view(), &out).ok()) return state.SkipWithError("encode");
  }
  state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK(Png)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lipcast::media
