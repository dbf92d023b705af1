#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"

namespace lipcast::avatar {

/// Largest text of one landmarks file.
inline constexpr size_t kMaxLandmarksBytes = size_t{1} << 20;

/// The face box of one `.lms` text: a line "x y" per landmark, coordinates truncated to int,
/// x0 = lms[1].x, y0 = lms[52].y, x1 = lms[31].x, y1 = y0 + (x1 - x0). Source: docs/numerics.md 3.
/// nullopt = no face (the frame passes untouched): empty text, fewer than 53 lines, a coordinate of
/// the box that is NaN, infinite or beyond +-1,000,000, or a box without width.
/// kInvalidArgument = not a landmarks file: a line that is not two numbers, or a text over
/// kMaxLandmarksBytes. The box may lie outside the picture: whoever knows the size checks that.
Result<std::optional<Rect>> BoxFromLandmarks(std::string_view lms_text);

}  // namespace lipcast::avatar
