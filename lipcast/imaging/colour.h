#pragma once

#include "lipcast/base/picture.h"

namespace lipcast::imaging {

// Colour between pictures of one size, any size from 1x1. YUV is BT.709, limited range, 8 bits.
// Up, a chroma sample serves its whole 2x2 block (nearest); down, it is the rounded mean of the
// block, with edge pixels repeated where a side is odd. Every value lies within 1 level of the
// formula in real numbers; grey comes back within 1 level after both ways.
// Any thread; nothing is allocated. The caller vouches for formats and equal sizes.

void I420ToBgr(const PictureView& src, const MutablePictureView& dst);
void BgrToI420(const PictureView& src, const MutablePictureView& dst);

/// Drops the alpha.
void BgraToBgr(const PictureView& src, const MutablePictureView& dst);
/// Writes blue, green and red; the alpha of `dst` stays.
void BgrIntoBgra(const PictureView& src, const MutablePictureView& dst);

}  // namespace lipcast::imaging
