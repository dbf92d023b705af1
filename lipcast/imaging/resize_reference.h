#pragma once

#include "lipcast/base/picture.h"
#include "lipcast/imaging/resize.h"

namespace lipcast::imaging {

/// The plain form of CubicResizer::Resize, equal to it bit for bit: one pixel at a time.
/// Rows first, rounded to 6 fractional bits, then columns. `channels` is 1, 3 or 4.
void CubicResizeReference(const PictureView& src, const MutablePictureView& dst, int channels,
                          ResizeKernel kernel = ResizeKernel::kCubic);

}  // namespace lipcast::imaging
