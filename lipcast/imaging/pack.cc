#include "lipcast/imaging/pack.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lipcast/imaging/pack_simd.h"

namespace lipcast::imaging {
namespace {

Rect InnerRect(const avatar::MouthLayout& layout) {
  const int end = layout.border_px + layout.inner_px;
  return {layout.border_px, layout.border_px, end, end};
}

size_t PlaneValues(const avatar::MouthLayout& layout) {
  return static_cast<size_t>(layout.inner_px) * layout.inner_px;
}

void ZeroMask(const avatar::MouthLayout& layout, float* planes) {
  for (int row = 0; row < 3 * layout.inner_px; ++row) {
    const int y = row % layout.inner_px;
    if (y < layout.mask.y0 || y >= layout.mask.y1) continue;
    float* line = planes + static_cast<ptrdiff_t>(row) * layout.inner_px;
    std::fill(line + layout.mask.x0, line + layout.mask.x1, 0.0f);
  }
}

uint8_t LevelOf(float value) {
  const float level = value * 255.0f;
  if (std::isnan(level)) return 0;
  return static_cast<uint8_t>(std::clamp(level, 0.0f, 255.0f));
}

}  // namespace

void PackMouth(const avatar::MouthLayout& layout, const PictureView& resized,
               std::span<float> out) {
  const PictureView inner = Crop(resized, InnerRect(layout));
  float* picture = out.data();
  float* masked = out.data() + 3 * PlaneValues(layout);
  if (layout.masked_first) std::swap(picture, masked);
  internal::PackPlanesSimd(inner.plane[0], inner.stride[0], layout.inner_px, picture, masked);
  ZeroMask(layout, masked);
}

void PackMouthReference(const avatar::MouthLayout& layout, const PictureView& resized,
                        std::span<float> out) {
  const int s = layout.inner_px;
  for (int channel = 0; channel < 6; ++channel) {
    const bool masked = (channel >= 3) != layout.masked_first;
    for (int y = 0; y < s; ++y) {
      for (int x = 0; x < s; ++x) {
        const bool hidden = masked && x >= layout.mask.x0 && x < layout.mask.x1 &&
                            y >= layout.mask.y0 && y < layout.mask.y1;
        const uint8_t level = resized.plane[0][(y + layout.border_px) * resized.stride[0] +
                                               3 * (x + layout.border_px) + channel % 3];
        out[(static_cast<size_t>(channel) * s + y) * s + x] =
            hidden ? 0.0f : static_cast<float>(level) / 255.0f;
      }
    }
  }
}

int64_t UnpackMouth(const avatar::MouthLayout& layout, std::span<const float> in,
                    const MutablePictureView& resized) {
  const MutablePictureView inner = Crop(resized, InnerRect(layout));
  const bool finite =
      internal::UnpackPlanesSimd(in.data(), layout.inner_px, inner.plane[0], inner.stride[0]);
  return finite ? 0 : UnpackMouthReference(layout, in, resized);
}

int64_t UnpackMouthReference(const avatar::MouthLayout& layout, std::span<const float> in,
                             const MutablePictureView& resized) {
  const int s = layout.inner_px;
  int64_t not_finite = 0;
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < s; ++y) {
      for (int x = 0; x < s; ++x) {
        const float value = in[(static_cast<size_t>(c) * s + y) * s + x];
        not_finite += std::isfinite(value) ? 0 : 1;
        resized
            .plane[0][(y + layout.border_px) * resized.stride[0] + 3 * (x + layout.border_px) + c] =
            LevelOf(value);
      }
    }
  }
  return not_finite;
}

}  // namespace lipcast::imaging
