#pragma once

#include "lipcast/base/picture.h"

namespace lipcast::imaging::internal {

void I420ToBgrSimd(const PictureView& src, const MutablePictureView& dst);
void BgrToI420Simd(const PictureView& src, const MutablePictureView& dst);
void BgraToBgrSimd(const PictureView& src, const MutablePictureView& dst);
void BgrIntoBgraSimd(const PictureView& src, const MutablePictureView& dst);

}  // namespace lipcast::imaging::internal
