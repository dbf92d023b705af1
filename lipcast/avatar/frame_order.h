#pragma once

#include <cstdint>

namespace lipcast::avatar {

/// What follows the last frame of an avatar.
enum class Order {
  kLoop,    ///< 0..N-1, 0..N-1, ..
  kBounce,  ///< 0..N-1, N-2..1, 0..: the ends are shown once
  kHold,    ///< 0..N-1, N-1, ..
};

/// Which of `frame_count` >= 1 frames stands at `step` of endless play at the avatar's own rate.
/// Any step >= 0; refusing a negative one is the caller's door's task, here it counts as 0.
int64_t FrameAt(Order order, int64_t frame_count, int64_t step);

}  // namespace lipcast::avatar
