#pragma once

#include <memory>
#include <string>

#include "lipcast/media/video_sink.h"

namespace lipcast::media {

/// The sink for `target`, chosen by its ending, or by `format` where that is not empty:
///   .mp4 .mkv                          H.264 with AAC / with the untouched PCM
///   .png .jpg .jpeg with one %0Nd      numbered pictures
///   .y4m .bgr .i420 .yuv               raw video into a file, a named pipe or a device
///   "-" with format y4m|bgr|i420       raw video to standard output
/// `options.path` is set from `target`. kInvalidArgument lists what is possible.
Result<std::unique_ptr<VideoSink>> OpenSink(const std::string& target, const std::string& format,
                                            const SinkOptions& options);

}  // namespace lipcast::media
