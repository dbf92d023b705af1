#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "lipcast/base/status.h"

namespace lipcast::audio {

/// How one sample is stored. Little-endian, interleaved.
enum class SampleType { kU8, kS16, kS24, kS32, kF32, kF64, kMulaw, kAlaw };

int SampleBytes(SampleType type);
std::string SampleTypeName(SampleType type);  ///< "s16", "f32", "mulaw", ...
Result<SampleType> ParseSampleType(const std::string& name);
std::byte SilenceByte(SampleType type);  ///< every byte of a silent sample

inline constexpr int kMinRateHz = 8'000;
inline constexpr int kMaxRateHz = 192'000;
inline constexpr int kMaxChannels = 8;

/// The format of a PCM stream, as it arrives and as it leaves again.
struct AudioFormat {
  int rate_hz = 16'000;
  int channels = 1;
  SampleType type = SampleType::kS16;

  int frame_bytes() const { return channels * SampleBytes(type); }  ///< one sample of each channel
  Status Validate() const;  ///< kInvalidArgument: "audio rate 4000 Hz: want 8000..192000"
  friend bool operator==(const AudioFormat&, const AudioFormat&) = default;
};

}  // namespace lipcast::audio
