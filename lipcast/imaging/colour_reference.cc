#include "lipcast/imaging/colour_reference.h"

#include <algorithm>

#include "lipcast/imaging/colour_fixed.h"

namespace lipcast::imaging {
namespace {

using namespace internal;  // NOLINT: the constants of this one unit

int HighProduct(int a, int b) { return static_cast<int>(int64_t{a} * b >> 16); }
int RoundedProduct(int a, int b) { return (a * b + (1 << 14)) >> 15; }

uint8_t Level(int luma, int chroma) {
  return static_cast<uint8_t>(std::clamp((luma + chroma + kChromaBias - kBgrZero) >> 6, 0, 255));
}

}  // namespace

void I420ToBgrReference(const PictureView& src, const MutablePictureView& dst) {
  for (int y = 0; y < dst.height; ++y) {
    for (int x = 0; x < dst.width; ++x) {
      const int luma = HighProduct(src.plane[0][y * src.stride[0] + x] << 8, kLumaGain);
      const int u = (src.plane[1][y / 2 * src.stride[1] + x / 2] - 128) * 256;
      const int v = (src.plane[2][y / 2 * src.stride[2] + x / 2] - 128) * 256;
      uint8_t* bgr = dst.plane[0] + y * dst.stride[0] + 3 * x;
      bgr[0] = Level(luma, RoundedProduct(u, kBlueFromU));
      bgr[1] = Level(luma, RoundedProduct(u, kGreenFromU) + RoundedProduct(v, kGreenFromV));
      bgr[2] = Level(luma, RoundedProduct(v, kRedFromV));
    }
  }
}

void BgrToI420Reference(const PictureView& src, const MutablePictureView& dst) {
  const auto level = [&](int x, int y, int channel) -> int {
    const int inside_x = std::min(x, src.width - 1), inside_y = std::min(y, src.height - 1);
    return src.plane[0][inside_y * src.stride[0] + 3 * inside_x + channel];
  };
  for (int y = 0; y < src.height; ++y) {
    for (int x = 0; x < src.width; ++x) {
      const int sum = HighProduct(level(x, y, 0) << 8, kYFromBlue) +
                      HighProduct(level(x, y, 1) << 8, kYFromGreen) +
                      HighProduct(level(x, y, 2) << 8, kYFromRed) + kYBias;
      dst.plane[0][y * dst.stride[0] + x] = static_cast<uint8_t>(sum >> 8);
    }
  }
  for (int y = 0; y < (src.height + 1) / 2; ++y) {
    for (int x = 0; x < (src.width + 1) / 2; ++x) {
      int sum[3];
      for (int c = 0; c < 3; ++c) {
        sum[c] = (level(2 * x, 2 * y, c) + level(2 * x + 1, 2 * y, c) + level(2 * x, 2 * y + 1, c) +
                  level(2 * x + 1, 2 * y + 1, c))
                 << 5;
      }
      const int u = RoundedProduct(sum[0], kUFromBlue) + RoundedProduct(sum[1], kUFromGreen) +
                    RoundedProduct(sum[2], kUFromRed) + kChromaZero;
      const int v = RoundedProduct(sum[0], kVFromBlue) + RoundedProduct(sum[1], kVFromGreen) +
                    RoundedProduct(sum[2], kVFromRed) + kChromaZero;
      dst.plane[1][y * dst.stride[1] + x] = static_cast<uint8_t>(u >> 7);
      dst.plane[2][y * dst.stride[2] + x] = static_cast<uint8_t>(v >> 7);
    }
  }
}

}  // namespace lipcast::imaging
