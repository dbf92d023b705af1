#include "lipcast/avatar/frame_order.h"

#include <algorithm>

namespace lipcast::avatar {

int64_t FrameAt(Order order, int64_t frame_count, int64_t step) {
  if (frame_count <= 1 || step <= 0) return 0;
  switch (order) {
    case Order::kLoop:
      return step % frame_count;
    case Order::kHold:
      return std::min(step, frame_count - 1);
    case Order::kBounce: {
      const int64_t period = 2 * frame_count - 2;
      const int64_t phase = step % period;
      return phase < frame_count ? phase : period - phase;
    }
  }
  return 0;
}

}  // namespace lipcast::avatar
