#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "lipcast/base/metrics.h"

namespace lipcast::cli {

/// What this process ran on, for every report.
std::string CpuName();
int CoreCount();
double PeakRssMb();  ///< of this process since its start; 0 where the system does not tell

/// {"decode": 0.01, ...}: milliseconds of one frame, each stage summed over all threads.
nlohmann::json StagesJson(const StageTimes& times, int64_t frames);

/// The same as a table with one line a stage, grouped: audio, networks, imaging, output.
std::string StageTable(const StageTimes& times, int64_t frames);

}  // namespace lipcast::cli
