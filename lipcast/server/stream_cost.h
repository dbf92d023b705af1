#pragma once

#include <memory>

#include "lipcast/pipeline/engine.h"
#include "lipcast/server/speech_stream.h"

namespace lipcast::server {

/// What an avatar's frames cost before anybody has seen one.
struct AvatarCost {
  double draw_seconds = 0;            ///< one frame with its mouth, at the avatar's own size
  double jpeg_seconds_per_pixel = 0;  ///< of such a frame
};

/// Draws a few frames behind all live streams, before all renders, and takes the median of several
/// runs, in work and not in time that passes: a machine that is busy just then is not taken for a
/// slow one. Takes its time; not on a worker, not on the loop.
Result<AvatarCost> ProbeAvatar(pipeline::Engine& engine,
                               const std::shared_ptr<const pipeline::LoadedAvatar>& avatar);

/// Seconds of work that a second of speech of such a stream is thought to need: the pictures drawn
/// for it, scaled if need be, and each frame encoded. Codecs other than JPEG count a multiple of it
/// until they are measured.
double StartCost(const AvatarCost& cost, const pipeline::LoadedAvatar& avatar,
                 const StreamOptions& options);

}  // namespace lipcast::server
