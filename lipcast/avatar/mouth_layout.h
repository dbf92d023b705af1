#pragma once

#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"

namespace lipcast::avatar {

/// How the face box is scaled to the network's size and back; what a family was trained with.
enum class ResizeKernel { kCubic, kLinear };

/// Where the redrawn part sits inside the face box. Source: docs/numerics.md 3.
/// The box is resized to resized_px; the network sees and redraws the inner square
/// [border_px, border_px + inner_px); the mask is what it is not shown of it.
struct MouthLayout {
  int inner_px = 160;
  int border_px = 4;
  Rect mask{5, 5, 155, 150};  ///< inside the inner square, half-open
  bool masked_first = false;  ///< channels: [picture, masked] (SyncTalk) or [masked, picture]
  int feather_px = 0;         ///< width of the soft edge inside the inner square; 0 = exact paste
  ResizeKernel kernel = ResizeKernel::kCubic;

  int resized_px() const { return inner_px + 2 * border_px; }
  Status Validate() const;  ///< "generator.inner_px = 0: want 16..2048"
};

}  // namespace lipcast::avatar
