#pragma once

#include <cstdint>
#include <span>

#include "lipcast/avatar/mouth_layout.h"
#include "lipcast/base/picture.h"

namespace lipcast::imaging {

// Between a resized face box (kBgr24, layout.resized_px() square) and a network's planar floats.
// S = layout.inner_px. Source: docs/numerics.md 3. Any thread; nothing is allocated.
// The caller vouches for sizes, and for a mask inside [0, S) x [0, S).

/// Inner square -> [6][S][S]: the picture's B, G, R planes as float(v) / 255, then the same with
/// layout.mask zeroed; the other way round where layout.masked_first.
void PackMouth(const avatar::MouthLayout& layout, const PictureView& resized, std::span<float> out);

/// [3][S][S] B, G, R planes -> inner square: times 255, truncated, clamped to 0..255. The border
/// keeps its pixels. Returns how many values were NaN or infinite; when that is not 0 the picture
/// must not be shown (NaN and -Inf were written as 0, +Inf as 255).
int64_t UnpackMouth(const avatar::MouthLayout& layout, std::span<const float> in,
                    const MutablePictureView& resized);

/// The plain forms of both, equal bit for bit.
void PackMouthReference(const avatar::MouthLayout& layout, const PictureView& resized,
                        std::span<float> out);
int64_t UnpackMouthReference(const avatar::MouthLayout& layout, std::span<const float> in,
                             const MutablePictureView& resized);

}  // namespace lipcast::imaging
