#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lipcast/audio/wav_reader.h"
#include "lipcast/base/status.h"

namespace lipcast::audio {

/// The bytes of a WAV file, of which the header's walk reads only the few it needs: inside the
/// module, so that a file's header may lie behind any amount of other chunks.
class WavHeaderSource {
 public:
  virtual ~WavHeaderSource() = default;
  virtual uint64_t file_bytes() const = 0;
  /// Fills `out` from `offset` on and returns how many bytes there were.
  virtual size_t ReadAt(uint64_t offset, std::span<std::byte> out) const = 0;
};

/// ParseWavHeader over a source.
Result<WavHeader> ParseWav(const WavHeaderSource& source);

}  // namespace lipcast::audio
