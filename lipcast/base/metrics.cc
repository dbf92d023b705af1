#include "lipcast/base/metrics.h"

namespace lipcast {

std::string_view StageName(Stage stage) {
  static constexpr std::array<std::string_view, kStageCount> kNames = {
      "decode",  "resample",      "stft",       "filterbank", "log",  "normalise",
      "windows", "audio_encoder", "background", "generator",  "pack", "unpack",
      "resize",  "paste",         "encode",     "mux"};
  return kNames[static_cast<int>(stage)];
}

}  // namespace lipcast
