#pragma once

#include <span>

#include "lipcast/base/picture.h"

namespace lipcast::cli {

/// Draws log-mel columns as a picture: time to the right, low bands at the bottom, one colour
/// scale for -4 .. 4. `mel` is [frames][bands]; more than kMaxSidePx frames are thinned.
Result<Picture> DrawMel(std::span<const float> mel, int bands);

}  // namespace lipcast::cli
