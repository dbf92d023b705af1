#pragma once

#include <filesystem>
#include <memory>

#include "lipcast/audio/audio_reader.h"
#include "lipcast/base/status.h"

namespace lipcast::audio {

/// Whatever libsndfile reads (FLAC, Ogg, MP3, AIFF, AU, CAF, WAV codecs, ...), told by its content.
/// Integer samples come bit for bit in the smallest of s16, s24 and s32 that holds them, all others
/// as f32. kUnimplemented: libsndfile does not know the content; kInvalidArgument: it does, but the
/// rate or the channel count is outside AudioFormat's limits, or the file is broken.
Result<std::unique_ptr<AudioReader>> OpenSndfile(const std::filesystem::path& path);

}  // namespace lipcast::audio
