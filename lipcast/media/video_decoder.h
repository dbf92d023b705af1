#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lipcast/avatar/frame_decoder.h"
#include "lipcast/media/image_codec.h"

namespace lipcast::media {

/// A FrameDecoder that also says what it had to do to the video.
class VideoDecoder : public avatar::FrameDecoder {
 public:
  /// For people: "variable frame rate (180 frames): resampled by time to 60/s, 360 frames".
  virtual const std::vector<std::string>& notes() const = 0;
};

/// Opens the first video stream of a file or of bytes in memory, by content.
/// Frames:  upright (rotation and mirror tags applied), at a constant rate indexed by time; kI420
///          BT.709 limited whatever the source is, kBgra32 where it has alpha.
/// Untagged colours are BT.709 from 1280 px or 577 rows on, else BT.601, and a note says so.
/// Index:   built at open from every packet's time; frame 0 is decoded at open.
/// Errors:  kDataLoss for a damaged or cut file, with how many frames are there; kInvalidArgument
///          for a file without video or with sides over kMaxSidePx; kUnimplemented for VP8/VP9
///          with alpha where this libav lacks libvpx, and always with LIPCAST_LIBAV=OFF.
/// Thread:  one caller at a time; one thread is used.
Result<std::unique_ptr<VideoDecoder>> OpenVideoDecoder(const avatar::FileSource& source);

/// The same, as avatar/ wants it.
Result<std::unique_ptr<avatar::FrameDecoder>> OpenVideo(const avatar::FileSource& source);

/// What avatar/ needs of this module, handed down by main().
inline avatar::FrameCodecs MakeFrameCodecs() { return {OpenVideo, DecodeImage}; }

}  // namespace lipcast::media
