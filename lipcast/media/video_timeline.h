#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"

namespace lipcast::media {

/// Which stored frame is shown at each tick of a constant rate.
struct VideoTimeline {
  Rational fps;
  int64_t frames = 0;
  std::vector<int64_t> stored;  ///< of each frame; empty where frame i is stored frame i
  std::string note;             ///< why the rate was changed; empty when it was not

  int64_t StoredFrame(int64_t frame) const {
    return stored.empty() ? frame : stored[static_cast<size_t>(frame)];
  }
  /// The first frame that shows stored frame `s` or a later one.
  int64_t FrameShowing(int64_t s) const;
};

/// `pts_ticks`: presentation times in ascending order, at least one; `time_base_num/_den`: seconds
/// per tick; `declared`: the container's rate, which is kept when every frame lies within half a
/// frame of it. Otherwise the video has a variable rate: the rate becomes that of the usual
/// interval (the mean of those near the median; the nearest usual rate within 1 %), and frames
/// repeat or fall away by time.
/// kInvalidArgument when that makes more than 10 million frames.
Result<VideoTimeline> MakeTimeline(const std::vector<int64_t>& pts_ticks, int64_t time_base_num,
                                   int64_t time_base_den, Rational declared);

}  // namespace lipcast::media
