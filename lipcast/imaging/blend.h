#pragma once

#include <cstddef>
#include <cstdint>

#include "lipcast/base/picture.h"

namespace lipcast::imaging {

// Mixing by an 8-bit weight: (a (255 - w) + b w) / 255, rounded, so 0 and 255 are exact.
// Any thread; nothing is allocated.

/// picture[i] becomes the mix of picture[i] and fresh[i] by weight[i].
void MixBytes(const uint8_t* fresh, const uint8_t* weight, uint8_t* picture, size_t count);

/// weight[i] = min(across[i], down) * mask[i] / 255 * scale / 255, each division rounded.
/// A null mask counts as 255 everywhere.
void MixWeights(const uint8_t* across, uint8_t down, const uint8_t* mask, uint8_t scale,
                uint8_t* weight, size_t count);

struct Bgr {
  uint8_t blue = 0, green = 0, red = 0;
};
/// `src` (kBgra32) over a solid colour, into `dst` (kBgr24) of the same size.
void BgraOverColour(const PictureView& src, Bgr colour, const MutablePictureView& dst);

/// The plain forms, equal bit for bit.
uint8_t MixByteReference(uint8_t picture, uint8_t fresh, uint8_t weight);
uint8_t MixWeightReference(uint8_t across, uint8_t down, uint8_t mask, uint8_t scale);

}  // namespace lipcast::imaging
