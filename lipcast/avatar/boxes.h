#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"

namespace lipcast::avatar {

/// Most frames of one avatar: 11 hours at 25 frames/s.
inline constexpr int64_t kMaxFrames = 1'000'000;
inline constexpr size_t kMaxBoxesBytes = size_t{64} << 20;

/// One face box per frame, half-open pixels; nullopt = no face, the frame passes untouched.
using Boxes = std::vector<std::optional<Rect>>;

/// Reads boxes.json: {"schema_version":1,"boxes":[[x0,y0,x1,y1] or null, ..]}.
/// kInvalidArgument: "boxes[17] = [4,0,4,9]: want x0 < x1 and y0 < y1". Refuses unknown keys,
/// coordinates outside 0..8192, more than kMaxFrames boxes, texts over kMaxBoxesBytes.
Result<Boxes> ParseBoxes(std::string_view json);

/// kInvalidArgument unless there is one box per frame, each inside the picture.
Status CheckBoxes(const Boxes& boxes, int64_t frame_count, int width, int height);

/// "3 of 250 frames have no face: 10-12", at most 8 ranges; empty when every frame has one.
std::string NoFaceNote(const Boxes& boxes);

}  // namespace lipcast::avatar
