#include "lipcast/avatar/mouth_layout.h"

#include <fmt/format.h>

namespace lipcast::avatar {
namespace {

Status OutOfRange(std::string_view field, int value, int low, int high) {
  return Status(Code::kInvalidArgument,
                fmt::format("generator.{} = {}: want {}..{}", field, value, low, high));
}

}  // namespace

Status MouthLayout::Validate() const {
  if (inner_px < 16 || inner_px > 2048) return OutOfRange("inner_px", inner_px, 16, 2048);
  if (border_px < 0 || border_px > 256) return OutOfRange("border_px", border_px, 0, 256);
  if (feather_px < 0 || feather_px > inner_px / 2) {
    return OutOfRange("feather_px", feather_px, 0, inner_px / 2);
  }
  if (mask.empty() || mask.x0 < 0 || mask.y0 < 0 || mask.x1 > inner_px || mask.y1 > inner_px) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("generator.mask = columns {}..{}, rows {}..{}: want at least one pixel,"
                    " all inside the inner square 0..{}",
                    mask.x0, mask.x1, mask.y0, mask.y1, inner_px));
  }
  return Status();
}

}  // namespace lipcast::avatar
