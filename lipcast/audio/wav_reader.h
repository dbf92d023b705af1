#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/audio/audio_reader.h"
#include "lipcast/base/status.h"

namespace lipcast::audio {

/// Where the samples of a WAV file lie, once everything its header claims has been checked against
/// the file.
struct WavHeader {
  AudioFormat format;
  uint64_t data_offset = 0;           ///< of the first sample byte
  uint64_t data_bytes = 0;            ///< whole sample frames that really are in the file
  bool rf64 = false;                  ///< sizes of 64 bits
  std::vector<std::string> warnings;  ///< each names its byte
};

/// Whether the first bytes of a file (12 suffice) are those of a RIFF, RF64 or BW64 WAVE.
bool LooksLikeWav(std::span<const std::byte> head);

/// Reads the header in `head`, the first bytes of a file of `file_bytes` bytes in all.
/// A data size of 0 or 0xFFFFFFFF (a stream's header) or beyond the file means what is there, with
/// a warning; an incomplete last sample frame is left out, with a warning.
/// kInvalidArgument names the byte, what stands there and what should; kOutOfRange: the header
/// goes on after `head`; kUnimplemented: a codec that is not PCM, float or G.711.
Result<WavHeader> ParseWavHeader(std::span<const std::byte> head, uint64_t file_bytes);

/// The hardened reader: PCM of 8..32 bits, float of 32 and 64, mu-law, A-law, plain or extensible.
/// Only the header is read here; samples stream. Errors name the path.
Result<std::unique_ptr<AudioReader>> OpenWav(const std::filesystem::path& path);

}  // namespace lipcast::audio
