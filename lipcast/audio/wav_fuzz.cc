// libFuzzer: no bytes may crash the WAV header's parser, and what it accepts must lie in the file.

#include <cstdlib>

#include "lipcast/audio/wav_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto head = std::as_bytes(std::span(data, size));
  for (const uint64_t file_bytes : {uint64_t{size}, uint64_t{size} + 1'000, ~uint64_t{0}}) {
    const auto header = lipcast::audio::ParseWavHeader(head, file_bytes);
    if (!header.ok()) {
      if (header.status().message().find("WAV byte ") == std::string::npos) std::abort();
      continue;
    }
    if (!header->format.Validate().ok()) std::abort();
    if (header->data_offset > file_bytes) std::abort();
    if (header->data_bytes > file_bytes - header->data_offset) std::abort();
    if (header->data_bytes % static_cast<uint64_t>(header->format.frame_bytes()) != 0) std::abort();
  }
  return 0;
}
