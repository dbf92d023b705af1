#pragma once

// Building blocks of this module's tests: pictures that tell which frame
// they are, a tone, and the ffmpeg commands as the second opinion.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numbers>
#include <string>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/picture.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/test_folder.h"
#include "lipcast/media/libav_log.h"
#include "lipcast/media/video_sink.h"

#define LC_ASSERT_OK(expr)                                                            \
  do {                                                                                \
    const ::lipcast::Status lc_test_status_ = ::lipcast::media::test::StatusOf(expr); \
    ASSERT_TRUE(lc_test_status_.ok()) << lc_test_status_.ToString();                  \
  } while (false)

namespace lipcast::media::test {

inline Status StatusOf(const Status& status) { return status; }
template <typename T>
Status StatusOf(const Result<T>& result) {
  return result.ok() ? Status() : result.status();
}

inline std::vector<uint8_t> ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::vector<uint8_t>(std::istreambuf_iterator<char>(file), {});
}
inline void WriteFile(const std::filesystem::path& path, const std::vector<uint8_t>& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

/// What a command prints; the test fails when the command does.
inline std::string Run(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (!pipe) {
    ADD_FAILURE() << "cannot run " << command;
    return output;
  }
  char buffer[4096];
  for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    output.append(buffer, got);
  }
  EXPECT_EQ(::pclose(pipe), 0) << command << "\n" << output;
  return output;
}

inline std::string Quoted(const std::filesystem::path& path) { return "'" + path.string() + "'"; }

/// One value of ffprobe: entry is "stream=width" or "format=duration".
inline std::string Probe(const std::filesystem::path& path, const std::string& streams,
                         const std::string& entry) {
  std::string out =
      Run("ffprobe -v error " + (streams.empty() ? "" : "-select_streams " + streams) +
          " -show_entries " + entry + " -of csv=p=0 " + Quoted(path));
  while (!out.empty() && (out.back() == '\n' || out.back() == ',')) out.pop_back();
  return out;
}

struct Bgr {
  int b, g, r;
};

/// BT.709 limited, in double.
struct Yuv {
  int y, u, v;
};
inline Yuv ToBt709(Bgr c) {
  const double r = c.r / 255.0, g = c.g / 255.0, b = c.b / 255.0;
  const double y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return {static_cast<int>(std::lround(16 + 219 * y)),
          static_cast<int>(std::lround(128 + 224 * (b - y) / 1.8556)),
          static_cast<int>(std::lround(128 + 224 * (r - y) / 1.5748))};
}
inline Bgr FromBt709(Yuv c) {
  const double y = (c.y - 16) / 219.0, cb = (c.u - 128) / 224.0, cr = (c.v - 128) / 224.0;
  const double r = y + 1.5748 * cr, b = y + 1.8556 * cb;
  const double g = (y - 0.2126 * r - 0.0722 * b) / 0.7152;
  const auto level = [](double v) {
    return static_cast<int>(std::lround(std::fmin(std::fmax(v, 0), 1) * 255));
  };
  return {level(b), level(g), level(r)};
}

inline Picture Make(PixelFormat format, int width, int height) {
  auto picture = Picture::Create(format, width, height);
  EXPECT_TRUE(picture.ok());
  return *std::move(picture);
}

inline Picture Solid(PixelFormat format, int width, int height, Bgr color) {
  Picture picture = Make(format, width, height);
  const MutablePictureView view = picture.mutable_view();
  if (format == PixelFormat::kI420) {
    const Yuv yuv = ToBt709(color);
    const int levels[3] = {yuv.y, yuv.u, yuv.v};
    for (int p = 0; p < 3; ++p) {
      std::memset(view.plane[p], levels[p],
                  static_cast<size_t>(view.stride[p]) * PlaneHeight(format, p, height));
    }
    return picture;
  }
  const int step = PlaneWidthBytes(format, 0, 1);
  for (int i = 0; i < width * height; ++i) {
    uint8_t* pixel = picture.data() + i * step;
    pixel[0] = static_cast<uint8_t>(color.b);
    pixel[1] = static_cast<uint8_t>(color.g);
    pixel[2] = static_cast<uint8_t>(color.r);
    if (step == 4) pixel[3] = 255;
  }
  return picture;
}

constexpr int kCodeBits = 10;
constexpr int kCodePx = 16;

/// kI420 with a moving gradient, soft colours, and the frame number as a bar code of kCodeBits
/// blocks in the top row. At least 160x32.
inline Picture Numbered(int width, int height, int number) {
  Picture picture = Make(PixelFormat::kI420, width, height);
  const MutablePictureView view = picture.mutable_view();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      int level = 60 + (x + 2 * y + 3 * number) / 4 % 120;
      if (y < kCodePx && x < kCodeBits * kCodePx) {
        level = (number >> (x / kCodePx)) & 1 ? 235 : 16;
      }
      view.plane[0][y * view.stride[0] + x] = static_cast<uint8_t>(level);
    }
  }
  for (int y = 0; y < (height + 1) / 2; ++y) {
    for (int x = 0; x < (width + 1) / 2; ++x) {
      const bool code = y < kCodePx / 2 && x < kCodeBits * kCodePx / 2;
      view.plane[1][y * view.stride[1] + x] = static_cast<uint8_t>(code ? 128 : 110 + x % 32);
      view.plane[2][y * view.stride[2] + x] = static_cast<uint8_t>(code ? 128 : 120 + y % 32);
    }
  }
  return picture;
}

/// The number in a picture whose bar code begins at (left, top), step by step along x.
inline int ReadNumber(const PictureView& view, int left = 0, int top = 0) {
  int number = 0;
  for (int bit = 0; bit < kCodeBits; ++bit) {
    const int x = left + bit * kCodePx + kCodePx / 2, y = top + kCodePx / 2;
    if (view.plane[0][y * view.stride[0] + x] > 125) number |= 1 << bit;
  }
  return number;
}

/// `samples` frames of a 440 Hz tone, another pitch in each channel.
inline std::vector<std::byte> Tone(const audio::AudioFormat& format, int64_t samples) {
  std::vector<std::byte> bytes(static_cast<size_t>(samples) * format.frame_bytes());
  std::byte* at = bytes.data();
  for (int64_t i = 0; i < samples; ++i) {
    for (int c = 0; c < format.channels; ++c) {
      const double v = 0.5 * std::sin(2 * std::numbers::pi * 440 * (c + 1) *
                                      static_cast<double>(i) / format.rate_hz);
      const auto put = [&](auto value, size_t size) {
        std::memcpy(at, &value, size);
        at += size;
      };
      switch (format.type) {
        case audio::SampleType::kU8:
          put(static_cast<uint8_t>(std::lround(128 + v * 127)), 1);
          break;
        case audio::SampleType::kS16:
          put(static_cast<int16_t>(std::lround(v * 32767)), 2);
          break;
        case audio::SampleType::kS24:
          put(static_cast<int32_t>(std::lround(v * 8388607)), 3);
          break;
        case audio::SampleType::kS32:
          put(static_cast<int32_t>(std::llround(v * 2147483647)), 4);
          break;
        case audio::SampleType::kF32:
          put(static_cast<float>(v), 4);
          break;
        case audio::SampleType::kF64:
          put(v, 8);
          break;
        case audio::SampleType::kMulaw:
        case audio::SampleType::kAlaw:
          put(static_cast<uint8_t>(i * 7 + c), 1);  // every code, in turn
          break;
      }
    }
  }
  return bytes;
}

inline SinkOptions Options(const std::filesystem::path& path, int width, int height,
                           Rational fps = {25, 1}) {
  SinkOptions options;
  options.path = path;
  options.width = width;
  options.height = height;
  options.fps = fps;
  options.preset = "ultrafast";
  return options;
}

}  // namespace lipcast::media::test
