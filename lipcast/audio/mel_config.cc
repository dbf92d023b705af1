#include "lipcast/audio/mel_config.h"

namespace lipcast::audio {
namespace {

Status Refuse(const char* field, int value, const std::string& want) {
  return Status(Code::kInvalidArgument,
                std::string("mel.") + field + " = " + std::to_string(value) + ": want " + want);
}

}  // namespace

Status MelConfig::Validate() const {
  if (sample_rate_hz < 8'000 || sample_rate_hz > 48'000) {
    return Refuse("sample_rate_hz", sample_rate_hz, "8000..48000");
  }
  if (window_samples != kFftSize) {
    return Refuse("window_samples", window_samples, std::to_string(kFftSize));
  }
  if (hop_samples < 1 || hop_samples > window_samples) {
    return Refuse("hop_samples", hop_samples, "1.." + std::to_string(window_samples));
  }
  if (hop_samples % 4 != 0 || window_samples % hop_samples != 0) {
    return Refuse("hop_samples", hop_samples,
                  "a multiple of 4 that divides " + std::to_string(window_samples));
  }
  if (bands < 1 || bands > 256) return Refuse("bands", bands, "1..256");
  if (high_hz < 1 || high_hz > sample_rate_hz / 2) {
    return Refuse("high_hz", high_hz, "1.." + std::to_string(sample_rate_hz / 2));
  }
  if (low_hz < 0 || low_hz >= high_hz) {
    return Refuse("low_hz", low_hz, "0.." + std::to_string(high_hz - 1));
  }
  if (padding != Padding::kZero && padding != Padding::kReflect) {
    return Refuse("padding", static_cast<int>(padding), "0 (zero) or 1 (reflect)");
  }
  return Status();
}

std::string MelConfig::ToString() const {
  return std::to_string(sample_rate_hz) + " Hz, window " + std::to_string(window_samples) +
         ", hop " + std::to_string(hop_samples) + ", " + std::to_string(bands) + " bands " +
         std::to_string(low_hz) + ".." + std::to_string(high_hz) + " Hz, " +
         (padding == Padding::kZero ? "zero" : "reflect") + " padding";
}

}  // namespace lipcast::audio
