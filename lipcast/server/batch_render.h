#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lipcast/base/clock.h"
#include "lipcast/base/status.h"
#include "lipcast/pipeline/engine.h"

namespace lipcast::server {

/// A few frames of a stream whose client keeps the count: what monolithic.MonolithicService does.
struct BatchRequest {
  int64_t start_frame = 0;  ///< of the 25 frames/s stream, 0..2^31-1
  int frames = 0;           ///< 1..32
  /// Mono float32 from frame max(0, start_frame - 8) on; what is missing at its end is silence.
  std::span<const float> audio;
  int rate_hz = 16'000;
  /// Instead of audio: [16][512], the same for every frame.
  std::span<const float> context;
  /// [frames][6][S][S] for the network; empty: made of the avatar's own frames.
  std::span<const float> pictures;
  int jpeg_quality = 75;
  bool raw = false;  ///< BGR instead of JPEG
};

struct BatchResult {
  std::vector<std::string> frames;
  Nanoseconds audio{0};  ///< wall time until the contexts were there
  Nanoseconds draw{0};   ///< wall time of the networks, pasting and encoding, on all workers
  Nanoseconds generate{0}, compose{0};  ///< work of the workers, summed
};

/// Draws every mouth by the model, on the engine's workers behind the live streams' frames, and
/// waits for them: never call it on a worker. The frames are those of one run over the whole
/// sound, but for the oldest of 16 context rows, which lies before the audio given.
/// kInvalidArgument names the field, what it has and what is wanted.
Result<BatchResult> RenderBatch(pipeline::Engine& engine, const pipeline::LoadedAvatar& avatar,
                                const BatchRequest& request);

}  // namespace lipcast::server
