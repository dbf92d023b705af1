#include "lipcast/audio/mono_converter.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace lipcast::audio {
namespace {

// Louder than -60 dB in the channels, and 40 dB less of it left in their mean.
constexpr double kAudibleEnergy = 1e-6;
constexpr double kCancelledShare = 1e-4;

template <typename Int>
Int LoadLittle(const std::byte* at) {
  static_assert(std::endian::native == std::endian::little);
  Int value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// ITU-T G.711. Both laws: sign, three bits of exponent, four of mantissa, some bits inverted.
int DecodeMulaw(uint8_t code) {
  code = static_cast<uint8_t>(~code);
  const int exponent = code >> 4 & 7;
  const int magnitude = (((code & 0x0F) << 3) + 0x84) << exponent;
  return (code & 0x80) != 0 ? 0x84 - magnitude : magnitude - 0x84;
}

int DecodeAlaw(uint8_t code) {
  code ^= 0x55;
  const int exponent = code >> 4 & 7;
  const int mantissa = (code & 0x0F) << 4;
  const int magnitude = exponent == 0 ? mantissa + 8 : (mantissa + 0x108) << (exponent - 1);
  return (code & 0x80) != 0 ? magnitude : -magnitude;
}

template <int (*kDecode)(uint8_t)>
const std::array<float, 256>& G711Table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (int code = 0; code < 256; ++code) {
      values[code] = static_cast<float>(kDecode(static_cast<uint8_t>(code))) / 32768.0f;
    }
    return values;
  }();
  return table;
}

float DecodeS24(const std::byte* at) {
  // Into the upper three bytes of 32 bits, so that the sign is where it belongs.
  const uint32_t bits = std::to_integer<uint32_t>(at[0]) << 8 |
                        std::to_integer<uint32_t>(at[1]) << 16 |
                        std::to_integer<uint32_t>(at[2]) << 24;
  return static_cast<float>(static_cast<int32_t>(bits) >> 8) / 8388608.0f;
}

}  // namespace

Result<MonoConverter> MonoConverter::Create(const AudioFormat& format) {
  LC_RETURN_IF_ERROR(format.Validate());
  return MonoConverter(format);
}

void MonoConverter::Push(std::span<const std::byte> bytes, std::vector<float>* out) {
  const auto frame_bytes = static_cast<size_t>(format_.frame_bytes());
  bytes_ += bytes.size();
  const size_t frames = (carried_ + bytes.size()) / frame_bytes;
  const size_t at = out->size();
  out->resize(at + frames);
  float* to = out->data() + at;
  if (carried_ > 0 && frames > 0) {
    const size_t missing = frame_bytes - carried_;
    std::memcpy(carry_.data() + carried_, bytes.data(), missing);
    bytes = bytes.subspan(missing);
    carried_ = 0;
    ConvertFrames(carry_.data(), 1, to++);
  }
  const size_t whole = bytes.size() / frame_bytes;
  if (whole > 0 && carried_ == 0) {
    ConvertFrames(bytes.data(), whole, to);
    bytes = bytes.subspan(whole * frame_bytes);
  }
  if (!bytes.empty()) std::memcpy(carry_.data() + carried_, bytes.data(), bytes.size());
  carried_ += bytes.size();
}

Status MonoConverter::Finish() {
  if (carried_ == 0) return Status();
  const size_t dropped = carried_;
  carried_ = 0;
  return Status(Code::kDataLoss, "audio byte " + std::to_string(bytes_ - dropped) + ": the last " +
                                     std::to_string(dropped) + " of " +
                                     std::to_string(format_.frame_bytes()) +
                                     " bytes of a frame; dropped");
}

bool MonoConverter::opposite_phase() const {
  if (frames_ == 0 || format_.channels < 2) return false;
  const double loudness = channel_energy_ / (static_cast<double>(frames_) * format_.channels);
  return loudness > kAudibleEnergy &&
         mean_energy_ / static_cast<double>(frames_) < kCancelledShare * loudness;
}

template <typename Decode>
void MonoConverter::MixFrames(const std::byte* bytes, size_t frames, const Decode& decode,
                              float* out) {
  const int sample_bytes = SampleBytes(format_.type);
  const int channels = format_.channels;
  const auto divisor = static_cast<float>(channels);
  if (channels == 1) {
    for (size_t f = 0; f < frames; ++f, bytes += sample_bytes) out[f] = decode(bytes);
    return;
  }
  double channel_energy = 0, mean_energy = 0;
  for (size_t f = 0; f < frames; ++f) {
    float sum = 0;
    for (int c = 0; c < channels; ++c, bytes += sample_bytes) {
      const float sample = decode(bytes);
      sum += sample;
      channel_energy += static_cast<double>(sample) * sample;
    }
    out[f] = sum / divisor;
    mean_energy += static_cast<double>(out[f]) * out[f];
  }
  channel_energy_ += channel_energy;
  mean_energy_ += mean_energy;
  frames_ += static_cast<int64_t>(frames);
}

void MonoConverter::ConvertFrames(const std::byte* bytes, size_t frames, float* out) {
  const auto finite = [this](float sample) {
    if (std::isfinite(sample)) return sample;
    ++non_finite_samples_;
    return 0.0f;
  };
  switch (format_.type) {
    case SampleType::kU8:
      return MixFrames(
          bytes, frames,
          [](const std::byte* at) {
            return static_cast<float>(std::to_integer<int>(*at) - 128) / 128.0f;
          },
          out);
    case SampleType::kS16:
      return MixFrames(
          bytes, frames,
          [](const std::byte* at) {
            return static_cast<float>(LoadLittle<int16_t>(at)) / 32768.0f;
          },
          out);
    case SampleType::kS24:
      return MixFrames(bytes, frames, DecodeS24, out);
    case SampleType::kS32:
      return MixFrames(
          bytes, frames,
          [](const std::byte* at) {
            return static_cast<float>(LoadLittle<int32_t>(at)) / 2147483648.0f;
          },
          out);
    case SampleType::kF32:
      return MixFrames(
          bytes, frames, [&](const std::byte* at) { return finite(LoadLittle<float>(at)); }, out);
    case SampleType::kF64:
      return MixFrames(
          bytes, frames,
          [&](const std::byte* at) { return finite(static_cast<float>(LoadLittle<double>(at))); },
          out);
    case SampleType::kMulaw:
    case SampleType::kAlaw: {
      const std::array<float, 256>& table =
          format_.type == SampleType::kMulaw ? G711Table<DecodeMulaw>() : G711Table<DecodeAlaw>();
      return MixFrames(
          bytes, frames, [&](const std::byte* at) { return table[std::to_integer<uint8_t>(*at)]; },
          out);
    }
  }
}

}  // namespace lipcast::audio
