#pragma once

#include <filesystem>
#include <memory>

#include "lipcast/audio/audio_reader.h"

namespace lipcast::media {

/// The first audio stream of any audio or video file, decoded: the fallback of audio::OpenAudio.
/// Format:  the file's rate and channels, the decoder's sample type, interleaved.
/// Time:    begins at time 0 of the file: encoder delay is skipped, a stream that begins later or
///          has a hole is filled with silence and a warning.
/// Errors:  "no audio stream in 'x.mp4' (found: video h264)". A file that ends early is read as
///          far as it goes, with a warning. kUnimplemented with LIPCAST_LIBAV=OFF.
Result<std::unique_ptr<audio::AudioReader>> OpenLibavAudio(const std::filesystem::path& path);

}  // namespace lipcast::media
