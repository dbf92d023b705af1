#pragma once

#include <memory>
#include <string>

#include "lipcast/media/video_sink.h"

namespace lipcast::media {

enum class RawLayout {
  kBgr24,  ///< rows of blue, green, red bytes, no header
  kI420,   ///< planes Y, U, V; BT.709 limited range; chroma sides rounded up; no header
  kY4m,    ///< kI420 with a YUV4MPEG2 header, C420mpeg2
};

/// Raw pictures into SinkOptions::path. "-" is standard output; a named pipe or a device is
/// written to as it is; everything else goes through a temporary name. Raw video carries no
/// sound: WriteAudio accepts and drops it, and the report says so.
/// The process must ignore SIGPIPE (lipcast's main() does): then a reader that went away is
/// kCancelled, "the reader closed the pipe".
Result<std::unique_ptr<VideoSink>> CreateRawSink(RawLayout layout, const SinkOptions& options);

/// The same into an open descriptor, which stays the caller's; `name` appears in errors.
Result<std::unique_ptr<VideoSink>> CreateRawSinkToFd(RawLayout layout, int fd,
                                                     const std::string& name,
                                                     const SinkOptions& options);

}  // namespace lipcast::media
