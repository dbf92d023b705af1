#pragma once

// What every H.264 encoder of ours has in common. Included by .cc files of media/ only.

#include <cstdint>
#include <optional>
#include <string>

#include "lipcast/base/picture.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"
#include "lipcast/media/libav.h"

namespace lipcast::media {

/// The one named, which must be an H.264 encoder; without a name libx264, else libopenh264.
Result<const AVCodec*> FindH264Encoder(const std::string& name);

/// A context, not yet opened, for pictures of that size: sides padded to even, 1/fps as time base,
/// I420 in BT.709 limited range, tagged so.
Result<CodecPtr> NewH264Context(const AVCodec* codec, int width, int height, const Rational& fps,
                                int threads);

/// For encoders without a constant-quality mode: bits a second that keep a face clean.
int64_t H264BitRate(int width, int height, const Rational& fps);

/// "641x361 padded to 642x362 ..": where a side is odd.
std::optional<std::string> PaddingNote(int width, int height);

/// Copies a kI420 picture into `frame`, made for `encoder` on the first call; odd sides repeat
/// their edge.
Status FillH264Frame(const PictureView& picture, const AVCodecContext& encoder, AVFrame* frame);

}  // namespace lipcast::media
