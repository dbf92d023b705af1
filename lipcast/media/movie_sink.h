#pragma once

#include <memory>

#include "lipcast/media/video_sink.h"

namespace lipcast::media {

enum class MovieContainer {
  kMp4,  ///< H.264 + AAC, index in front (faststart); video time base exact
  kMkv,  ///< H.264 + the source's PCM to the bit (G.711 stays G.711); times rounded to 1 ms
};

/// H.264 in BT.709 limited range, tagged so; kI420 in. libx264 where this libav has it, else
/// libopenh264, or the encoder named in the options.
/// Odd sides are padded to even by repeating the edge; the report says so.
/// AAC keeps the source's rate and channels; a rate AAC lacks (over 96 kHz, or odd) is resampled
/// by soxr to one it has, and the report says so.
/// kUnimplemented without libav (LIPCAST_LIBAV=OFF) or without a usable encoder.
Result<std::unique_ptr<VideoSink>> CreateMovieSink(MovieContainer container,
                                                   const SinkOptions& options);

}  // namespace lipcast::media
