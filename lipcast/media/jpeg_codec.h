#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"

namespace lipcast::media {

/// Any JPEG (grey, YCbCr, RGB, CMYK; baseline or progressive) to kBgr24. The EXIF orientation is
/// applied, so the picture stands upright. A file that ends early or is damaged is kDataLoss,
/// a side over kMaxSidePx kInvalidArgument. Pixels equal libjpeg-turbo's accurate DCT.
Result<Picture> DecodeJpeg(std::span<const uint8_t> bytes);

/// kBgr24, kI420 or kGray8 to a baseline 4:2:0 JFIF file in `out` (replaced, capacity kept).
/// JFIF is full-range BT.601: kI420, which is limited-range BT.709 here, is converted.
/// quality 1..100; restart_interval_mcus 0 (none) .. 65535 MCUs of 16x16.
Status EncodeJpeg(const PictureView& picture, int quality, int restart_interval_mcus,
                  std::vector<uint8_t>* out);

}  // namespace lipcast::media
