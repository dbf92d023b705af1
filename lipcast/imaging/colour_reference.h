#pragma once

#include "lipcast/base/picture.h"

namespace lipcast::imaging {

/// The plain forms of I420ToBgr and BgrToI420, equal to them bit for bit: one pixel at a time.
void I420ToBgrReference(const PictureView& src, const MutablePictureView& dst);
void BgrToI420Reference(const PictureView& src, const MutablePictureView& dst);

}  // namespace lipcast::imaging
