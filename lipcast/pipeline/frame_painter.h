#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lipcast/base/clock.h"
#include "lipcast/base/metrics.h"
#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"
#include "lipcast/imaging/compose.h"
#include "lipcast/pipeline/loaded_avatar.h"

namespace lipcast::pipeline {

/// Working memory of one worker thread, shared by all sessions it serves. Grows to the largest
/// avatar it has drawn, then allocates no more.
struct WorkerScratch {
  std::vector<float> pictures, mouths;  ///< [n][6][S][S], [n][3][S][S]
  std::vector<uint8_t> resized;         ///< [n] face boxes at the network's size, BGR
  std::vector<float> contexts;          ///< [n][rows][features]
  std::vector<int64_t> frames;          ///< [n] which avatar frame each picture is, or -1
  std::vector<uint8_t> canvas;          ///< a frame at the avatar's size, if the output has another
  imaging::Scratch imaging;
};

/// When a frame was drawn, on the steady clock; all zero: it was not. The generator's times are
/// zero where it was not asked.
struct DrawTimes {
  TimePoint begin, generator_begin, generator_end, end;
};

/// One frame to draw.
struct PaintJob {
  int64_t background = 0;          ///< avatar frame
  float weight = 0;                ///< of the new mouth; 0 shows the source picture untouched
  std::span<const float> context;  ///< [rows][feature_floats], unused at weight 0
  std::span<const float> picture;  ///< [6][S][S] for the network; empty: of the avatar's frame
  MutablePictureView out;          ///< kBgr24 or kI420
  bool generated = false;          ///< set: the mouth came from the model
  int64_t not_finite = 0;          ///< set: NaN or Inf values the model gave, else 0
  DrawTimes times;                 ///< set: of the whole call
};

/// Draws frames: background, then crop, pack, generate, unpack, paste. A frame depends on its job
/// alone, never on its neighbours, so any grouping and any worker give the same bytes.
/// Thread: any number of callers, each with its own scratch.
Status Paint(const LoadedAvatar& avatar, std::span<PaintJob> jobs, WorkerScratch& scratch,
             StageTimes& times);

}  // namespace lipcast::pipeline
