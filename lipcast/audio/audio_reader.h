#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/status.h"

namespace lipcast::audio {

/// A source of PCM, read front to back in its own untouched format.
/// Thread: one caller at a time.
class AudioReader {
 public:
  virtual ~AudioReader() = default;
  virtual const AudioFormat& format() const = 0;
  /// Samples per channel in all, where the file says so truthfully.
  virtual std::optional<int64_t> total_samples() const = 0;
  /// What the file is, for people: "WAV", "FLAC", "AAC in MP4".
  virtual std::string description() const = 0;
  /// Fills `out` with whole sample frames and returns the bytes written; 0 is the end.
  virtual Result<size_t> Read(std::span<std::byte> out) = 0;
  /// Things worth telling the user that are not errors ("data chunk ends early: ...").
  virtual const std::vector<std::string>& warnings() const = 0;
};

/// Opens what OpenAudio itself cannot; media/ supplies one made of libav.
using AudioOpener =
    std::function<Result<std::unique_ptr<AudioReader>>(const std::filesystem::path&)>;

/// Opens any audio file by its content, never by its name: WAV by the hardened reader here,
/// what libsndfile knows (FLAC, Ogg, MP3, AIFF, ...), then `fallback` (may be null).
Result<std::unique_ptr<AudioReader>> OpenAudio(const std::filesystem::path& path,
                                               const AudioOpener& fallback);

}  // namespace lipcast::audio
