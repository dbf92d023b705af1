#include "lipcast/media/sample_convert.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace lipcast::media {
namespace {

constexpr double kMaxFloat = 16;

template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

float Finite(double value) {
  return std::isfinite(value) ? static_cast<float>(std::clamp(value, -kMaxFloat, kMaxFloat)) : 0;
}

// ITU-T G.711, scaled to 16 bits.
int FromMulaw(uint8_t code) {
  const int bits = ~code & 0xff;
  const int magnitude = (((bits & 15) << 3) + 0x84) << ((bits & 0x70) >> 4);
  return bits & 0x80 ? 0x84 - magnitude : magnitude - 0x84;
}
int FromAlaw(uint8_t code) {
  const int bits = code ^ 0x55;
  const int segment = (bits & 0x70) >> 4;
  int magnitude = ((bits & 15) << 4) + 8;
  if (segment > 0) magnitude = (magnitude + 0x100) << (segment - 1);
  return bits & 0x80 ? magnitude : -magnitude;
}

float One(audio::SampleType type, const std::byte* at) {
  switch (type) {
    case audio::SampleType::kU8:
      return static_cast<float>(Load<uint8_t>(at) - 128) / 128;
    case audio::SampleType::kS16:
      return static_cast<float>(Load<int16_t>(at)) / 32768;
    case audio::SampleType::kS24: {
      const uint32_t low = Load<uint8_t>(at), middle = Load<uint8_t>(at + 1);
      const uint32_t word = Load<uint8_t>(at + 2) << 24 | middle << 16 | low << 8;
      return static_cast<float>(static_cast<int32_t>(word)) / 2147483648.0f;
    }
    case audio::SampleType::kS32:
      return static_cast<float>(Load<int32_t>(at)) / 2147483648.0f;
    case audio::SampleType::kF32:
      return Finite(Load<float>(at));
    case audio::SampleType::kF64:
      return Finite(Load<double>(at));
    case audio::SampleType::kMulaw:
      return static_cast<float>(FromMulaw(Load<uint8_t>(at))) / 32768;
    case audio::SampleType::kAlaw:
      return static_cast<float>(FromAlaw(Load<uint8_t>(at))) / 32768;
  }
  return 0;
}

}  // namespace

void SamplesToFloat(audio::SampleType type, std::span<const std::byte> pcm, std::span<float> out) {
  const auto step = static_cast<size_t>(audio::SampleBytes(type));
  for (size_t i = 0; i < out.size(); ++i) out[i] = One(type, pcm.data() + i * step);
}

}  // namespace lipcast::media
