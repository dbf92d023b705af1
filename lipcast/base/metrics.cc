#include "lipcast/base/metrics.h"

#include <string>

namespace lipcast {

std::string_view StageName(Stage stage) {
  static constexpr std::array<std::string_view, kStageCount> kNames = {
      "decode",  "resample",      "stft",       "filterbank", "log",  "normalise",
      "windows", "audio_encoder", "background", "generator",  "pack", "unpack",
      "resize",  "paste",         "encode",     "mux"};
  return kNames[static_cast<int>(stage)];
}

void StageTimes::Observe(Stage stage, std::chrono::nanoseconds time) {
  static const auto kSeries = [] {
    std::array<std::string, kStageCount> series;
    for (int i = 0; i < kStageCount; ++i) {
      series[i] = "stage_seconds{stage=\"" + std::string(StageName(static_cast<Stage>(i))) + "\"}";
    }
    return series;
  }();
  metrics_->Observe(kSeries[static_cast<int>(stage)], std::chrono::duration<double>(time).count());
}

}  // namespace lipcast
