#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"

namespace lipcast::media {

/// Any PNG (grey, palette, 1..16 bit, interlaced) to kBgr24, or to kBgra32 where it has alpha
/// (a channel or a tRNS chunk). 16 bit becomes 8 by rounding; gamma and profiles are not applied.
/// Damaged or cut data is kDataLoss, a side over kMaxSidePx kInvalidArgument.
Result<Picture> DecodePng(std::span<const uint8_t> bytes);

/// kBgr24, kBgra32 or kGray8 to a PNG in `out` (replaced, capacity kept): zlib level 1, Sub
/// filter, about a third of the time of the defaults.
Status EncodePng(const PictureView& picture, std::vector<uint8_t>* out);

}  // namespace lipcast::media
