#include "lipcast/audio/audio_format.h"

#include <array>
#include <utility>

namespace lipcast::audio {
namespace {

struct TypeEntry {
  SampleType type;
  int bytes;
  const char* name;
};

constexpr std::array<TypeEntry, 8> kTypes = {{
    {SampleType::kU8, 1, "u8"},
    {SampleType::kS16, 2, "s16"},
    {SampleType::kS24, 3, "s24"},
    {SampleType::kS32, 4, "s32"},
    {SampleType::kF32, 4, "f32"},
    {SampleType::kF64, 8, "f64"},
    {SampleType::kMulaw, 1, "mulaw"},
    {SampleType::kAlaw, 1, "alaw"},
}};

}  // namespace

int SampleBytes(SampleType type) { return kTypes[static_cast<size_t>(type)].bytes; }

std::string SampleTypeName(SampleType type) { return kTypes[static_cast<size_t>(type)].name; }

Result<SampleType> ParseSampleType(const std::string& name) {
  std::string known;
  for (const TypeEntry& entry : kTypes) {
    if (name == entry.name) return entry.type;
    known += known.empty() ? "" : ", ";
    known += entry.name;
  }
  return Status(Code::kInvalidArgument, "audio sample type '" + name + "': want one of " + known);
}

std::byte SilenceByte(SampleType type) {
  switch (type) {
    case SampleType::kU8:
      return std::byte{0x80};
    case SampleType::kMulaw:
      return std::byte{0xFF};
    case SampleType::kAlaw:
      return std::byte{0xD5};
    default:
      return std::byte{0};
  }
}

Status AudioFormat::Validate() const {
  if (rate_hz < kMinRateHz || rate_hz > kMaxRateHz) {
    return Status(Code::kInvalidArgument, "audio rate " + std::to_string(rate_hz) + " Hz: want " +
                                              std::to_string(kMinRateHz) + ".." +
                                              std::to_string(kMaxRateHz));
  }
  if (channels < 1 || channels > kMaxChannels) {
    return Status(Code::kInvalidArgument, "audio channels = " + std::to_string(channels) +
                                              ": want 1.." + std::to_string(kMaxChannels));
  }
  if (static_cast<size_t>(type) >= kTypes.size()) {
    return Status(Code::kInvalidArgument, "audio sample type " +
                                              std::to_string(static_cast<int>(type)) +
                                              ": want 0.." + std::to_string(kTypes.size() - 1));
  }
  return Status();
}

}  // namespace lipcast::audio
