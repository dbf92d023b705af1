#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lipcast/pipeline/speech_timeline.h"

namespace lipcast::pipeline {

/// Feeds `bytes` in pieces, then the end, and calls `take(frame)` for frames [first, frames) as
/// they get ready; each is dropped after.
template <typename Take>
void Drive(SpeechTimeline& timeline, std::span<const std::byte> bytes, size_t piece_bytes,
           int64_t first, int64_t frames, const Take& take) {
  bool finished = false;
  while (first < frames) {
    const size_t piece = std::min({bytes.size(), piece_bytes, timeline.BytesAccepted()});
    if (piece > 0) {
      EXPECT_TRUE(timeline.Push(bytes.first(piece)).ok());
      bytes = bytes.subspan(piece);
    } else if (bytes.empty() && !finished) {
      finished = true;
      EXPECT_TRUE(timeline.Finish(frames).ok());
    }
    auto moved = timeline.Advance();
    EXPECT_TRUE(moved.ok()) << moved.status().ToString();
    bool any = piece > 0 || *moved;
    for (; first < frames && timeline.Ready(first); ++first, any = true) {
      take(first);
      timeline.DropBefore(first + 1);
    }
    if (!any && finished) {
      ADD_FAILURE() << "stuck at frame " << first;
      break;
    }
  }
}

}  // namespace lipcast::pipeline
