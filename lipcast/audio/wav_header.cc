#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "lipcast/audio/wav_header_source.h"
#include "lipcast/audio/wav_reader.h"

namespace lipcast::audio {
namespace {

constexpr uint64_t kRiffHeaderBytes = 12;
constexpr uint64_t kChunkHeaderBytes = 8;
constexpr uint32_t kUnknownSize = 0xFFFFFFFFu;
// More chunks than any real file has; bounds the walk through a file made of empty ones.
constexpr int kMaxChunks = 4096;

constexpr uint16_t kTagPcm = 1, kTagFloat = 3, kTagAlaw = 6, kTagMulaw = 7;
constexpr uint16_t kTagExtensible = 0xFFFE;
// What follows the format tag in the sub-format of an extensible header.
constexpr std::array<uint8_t, 14> kSubFormatTail = {0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80,
                                                    0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71};

template <typename T>
T ReadLittle(const std::byte* at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value | static_cast<T>(std::to_integer<uint64_t>(at[i]) << (8 * i)));
  }
  return value;
}

Status Bad(uint64_t byte, const std::string& what) {
  return Status(Code::kInvalidArgument, "WAV byte " + std::to_string(byte) + ": " + what);
}

std::string Printable(const std::byte* id) {
  std::string text;
  for (int i = 0; i < 4; ++i) {
    const auto c = std::to_integer<unsigned char>(id[i]);
    text += c >= 0x20 && c < 0x7F ? static_cast<char>(c) : '?';
  }
  return text;
}

bool Is(const std::byte* id, const char* name) { return std::memcmp(id, name, 4) == 0; }

std::optional<SampleType> TypeOf(uint16_t tag, int container_bytes) {
  switch (tag) {
    case kTagPcm:
      if (container_bytes == 1) return SampleType::kU8;
      if (container_bytes == 2) return SampleType::kS16;
      if (container_bytes == 3) return SampleType::kS24;
      if (container_bytes == 4) return SampleType::kS32;
      break;
    case kTagFloat:
      if (container_bytes == 4) return SampleType::kF32;
      if (container_bytes == 8) return SampleType::kF64;
      break;
    case kTagAlaw:
      if (container_bytes == 1) return SampleType::kAlaw;
      break;
    case kTagMulaw:
      if (container_bytes == 1) return SampleType::kMulaw;
      break;
    default:
      break;
  }
  return std::nullopt;
}

Status ParseFormat(std::span<const std::byte> chunk, uint64_t at, WavHeader* header) {
  auto tag = ReadLittle<uint16_t>(chunk.data());
  const auto channels = ReadLittle<uint16_t>(chunk.data() + 2);
  const auto rate_hz = ReadLittle<uint32_t>(chunk.data() + 4);
  const auto byte_rate = ReadLittle<uint32_t>(chunk.data() + 8);
  const auto block_align = ReadLittle<uint16_t>(chunk.data() + 12);
  const auto bits = ReadLittle<uint16_t>(chunk.data() + 14);

  if (tag == kTagExtensible) {
    if (chunk.size() < 40) {
      return Bad(at, "an extensible format of " + std::to_string(chunk.size()) +
                         " bytes, want at least 40");
    }
    if (std::memcmp(chunk.data() + 26, kSubFormatTail.data(), kSubFormatTail.size()) != 0) {
      return Status(Code::kUnimplemented, "WAV byte " + std::to_string(at + 24) +
                                              ": a sub-format that is no wave format tag");
    }
    tag = ReadLittle<uint16_t>(chunk.data() + 24);
  }
  if (tag != kTagPcm && tag != kTagFloat && tag != kTagAlaw && tag != kTagMulaw) {
    return Status(Code::kUnimplemented, "WAV byte " + std::to_string(at) + ": format tag " +
                                            std::to_string(tag) +
                                            ", want 1 (PCM), 3 (float), 6 (A-law) or 7 (mu-law)");
  }
  if (channels < 1 || channels > kMaxChannels) {
    return Bad(at + 2,
               std::to_string(channels) + " channels, want 1.." + std::to_string(kMaxChannels));
  }
  if (rate_hz < static_cast<uint32_t>(kMinRateHz) || rate_hz > static_cast<uint32_t>(kMaxRateHz)) {
    return Bad(at + 4, "a rate of " + std::to_string(rate_hz) + " Hz, want " +
                           std::to_string(kMinRateHz) + ".." + std::to_string(kMaxRateHz));
  }
  const int container_bytes = (bits + 7) / 8;
  const std::optional<SampleType> type = TypeOf(tag, container_bytes);
  if (!type || (tag != kTagPcm && bits % 8 != 0)) {
    return Bad(at + 14, std::to_string(bits) + " bits a sample with format tag " +
                            std::to_string(tag) +
                            ", want 1..32 for PCM, 32 or 64 for float, 8 for G.711");
  }
  const int frame_bytes = channels * container_bytes;
  if (block_align != frame_bytes) {
    return Bad(at + 12, "a block align of " + std::to_string(block_align) + ", want " +
                            std::to_string(frame_bytes) + " (" + std::to_string(channels) + " x " +
                            std::to_string(container_bytes) + " bytes)");
  }
  const uint64_t true_rate = static_cast<uint64_t>(rate_hz) * static_cast<uint64_t>(frame_bytes);
  if (byte_rate != true_rate) {
    header->warnings.push_back("WAV byte " + std::to_string(at + 8) + ": a byte rate of " +
                               std::to_string(byte_rate) + ", want " + std::to_string(true_rate) +
                               "; ignored");
  }
  header->format = {static_cast<int>(rate_hz), channels, *type};
  return Status();
}

// A chunk that may follow an empty data chunk; samples do not look like this.
bool IsTrailingChunk(const WavHeaderSource& source, uint64_t offset) {
  std::array<std::byte, kChunkHeaderBytes> chunk;
  if (source.ReadAt(offset, chunk) != chunk.size()) return false;
  const uint64_t size = ReadLittle<uint32_t>(chunk.data() + 4);
  if (size > source.file_bytes() - offset - kChunkHeaderBytes) return false;
  for (const char* name : {"LIST", "fact", "id3 ", "ID3 ", "bext", "cue ", "smpl", "inst", "JUNK",
                           "PAD ", "PEAK", "iXML", "fmt ", "afsp"}) {
    if (Is(chunk.data(), name)) return true;
  }
  return false;
}

void SizeData(const WavHeaderSource& source, uint64_t offset, uint64_t declared, bool streamed,
              WavHeader* header) {
  const uint64_t there = source.file_bytes() - offset;
  uint64_t bytes = declared;
  const std::string where = "WAV byte " + std::to_string(offset - 4) + ": ";
  if (streamed || (declared == 0 && there > 0 && !IsTrailingChunk(source, offset))) {
    bytes = there;
    header->warnings.push_back(where + "a data size of " + std::to_string(declared) +
                               " (a stream's header); the " + std::to_string(there) +
                               " bytes that follow are read");
  } else if (declared > there) {
    bytes = there;
    header->warnings.push_back(where + "a data size of " + std::to_string(declared) +
                               ", but the file ends after " + std::to_string(there) +
                               " bytes of it; those are read");
  }
  const auto frame_bytes = static_cast<uint64_t>(header->format.frame_bytes());
  const uint64_t odd = bytes % frame_bytes;
  if (odd != 0) {
    header->warnings.push_back("WAV byte " + std::to_string(offset + bytes - odd) + ": the last " +
                               std::to_string(odd) + " byte" + (odd == 1 ? "" : "s") +
                               " are no whole frame of " + std::to_string(frame_bytes) +
                               "; dropped");
  }
  header->data_offset = offset;
  header->data_bytes = bytes - odd;
}

}  // namespace

bool LooksLikeWav(std::span<const std::byte> head) {
  return head.size() >= kRiffHeaderBytes && Is(head.data() + 8, "WAVE") &&
         (Is(head.data(), "RIFF") || Is(head.data(), "RF64") || Is(head.data(), "BW64"));
}

Result<WavHeader> ParseWav(const WavHeaderSource& source) {
  const uint64_t file_bytes = source.file_bytes();
  // Bytes that the file has, or should have, are either read or the reason to give up.
  const auto read = [&](uint64_t offset, std::span<std::byte> out, const char* what) -> Status {
    if (offset > file_bytes || file_bytes - offset < out.size()) {
      return Bad(file_bytes, std::string("the file ends inside ") + what);
    }
    if (source.ReadAt(offset, out) == out.size()) return Status();
    return Status(Code::kOutOfRange, "WAV byte " + std::to_string(offset) + ": " + what +
                                         " lies beyond the bytes given");
  };

  std::array<std::byte, kRiffHeaderBytes> riff;
  LC_RETURN_IF_ERROR(read(0, riff, "the RIFF header"));
  if (!LooksLikeWav(riff)) {
    return Bad(0, "'" + Printable(riff.data()) + "...." + Printable(riff.data() + 8) +
                      "', want RIFF....WAVE");
  }
  WavHeader header;
  header.rf64 = !Is(riff.data(), "RIFF");
  std::optional<uint64_t> size_of_64_bits;
  bool have_format = false;
  uint64_t at = kRiffHeaderBytes;
  for (int chunks = 0; chunks < kMaxChunks; ++chunks) {
    std::array<std::byte, kChunkHeaderBytes> chunk;
    if (at >= file_bytes) {
      return Bad(file_bytes, std::string("the file ends before its ") +
                                 (have_format ? "data" : "fmt") + " chunk");
    }
    LC_RETURN_IF_ERROR(read(at, chunk, "a chunk header"));
    const auto size = ReadLittle<uint32_t>(chunk.data() + 4);
    const uint64_t body = at + kChunkHeaderBytes;
    if (Is(chunk.data(), "data")) {
      if (!have_format) return Bad(at, "the data chunk comes before the fmt chunk");
      const bool is_64 = header.rf64 && size == kUnknownSize && size_of_64_bits.has_value();
      const uint64_t declared = is_64 ? *size_of_64_bits : size;
      SizeData(source, body, declared, declared == (is_64 ? ~uint64_t{0} : uint64_t{kUnknownSize}),
               &header);
      return header;
    }
    if (size > file_bytes - body) {
      return Bad(at + 4, "chunk '" + Printable(chunk.data()) + "' claims " + std::to_string(size) +
                             " bytes, the file has " + std::to_string(file_bytes - body) +
                             " after it begins");
    }
    if (Is(chunk.data(), "fmt ")) {
      if (size < 16) {
        return Bad(at + 4, "a fmt chunk of " + std::to_string(size) + " bytes, want at least 16");
      }
      std::array<std::byte, 40> format;
      const auto format_bytes = std::span(format).first(std::min<size_t>(size, format.size()));
      LC_RETURN_IF_ERROR(read(body, format_bytes, "the fmt chunk"));
      LC_RETURN_IF_ERROR(ParseFormat(format_bytes, body, &header));
      have_format = true;
    } else if (Is(chunk.data(), "ds64") && size >= 16) {
      std::array<std::byte, 8> data_size;
      LC_RETURN_IF_ERROR(read(body + 8, data_size, "the ds64 chunk"));
      size_of_64_bits = ReadLittle<uint64_t>(data_size.data());
    }
    at = body + size + (size & 1);
  }
  return Bad(at, "no data chunk among the first " + std::to_string(kMaxChunks) + " chunks");
}

namespace {

class BytesSource : public WavHeaderSource {
 public:
  BytesSource(std::span<const std::byte> head, uint64_t file_bytes)
      : head_(head), file_bytes_(std::max<uint64_t>(file_bytes, head.size())) {}
  uint64_t file_bytes() const override { return file_bytes_; }
  size_t ReadAt(uint64_t offset, std::span<std::byte> out) const override {
    if (offset >= head_.size()) return 0;
    const auto there = head_.subspan(offset);
    const size_t count = std::min(there.size(), out.size());
    std::copy_n(there.begin(), count, out.begin());
    return count;
  }

 private:
  std::span<const std::byte> head_;
  uint64_t file_bytes_;
};

}  // namespace

Result<WavHeader> ParseWavHeader(std::span<const std::byte> head, uint64_t file_bytes) {
  return ParseWav(BytesSource(head, file_bytes));
}

}  // namespace lipcast::audio
