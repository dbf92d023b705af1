#pragma once

#include <memory>

#include "lipcast/audio/audio_reader.h"
#include "lipcast/base/status.h"

namespace lipcast::audio {

/// Raw PCM in `format` from a descriptor that the caller keeps open: stdin, a pipe, a socket.
/// Read() returns as soon as one whole sample frame is there, so a live source is not held up; it
/// waits while there is none, also on a non-blocking descriptor. An incomplete last frame is
/// dropped with a warning. kInvalidArgument when the format is not valid or `fd` is negative.
Result<std::unique_ptr<AudioReader>> MakeRawReader(int fd, const AudioFormat& format);

}  // namespace lipcast::audio
