#include "lipcast/cli/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace lipcast::cli {
namespace {

double MillisecondsPerFrame(const StageTimes& times, Stage stage, int64_t frames) {
  return std::chrono::duration<double, std::milli>(times.total(stage)).count() /
         static_cast<double>(std::max<int64_t>(1, frames));
}

struct Group {
  const char* name;
  Stage first, last;
};
constexpr Group kGroups[] = {
    {"audio", Stage::kDecode, Stage::kNormalise},
    {"windows", Stage::kWindows, Stage::kWindows},
    {"networks", Stage::kAudioEncoder, Stage::kAudioEncoder},
    {"picture", Stage::kBackground, Stage::kBackground},
    {"networks", Stage::kGenerator, Stage::kGenerator},
    {"imaging", Stage::kPack, Stage::kPaste},
    {"output", Stage::kEncode, Stage::kMux},
};

}  // namespace

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with("model name")) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

int CoreCount() { return static_cast<int>(std::thread::hardware_concurrency()); }

double PeakRssMb() {
  // Not getrusage: a program inherits there the peak of the one that started it.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024.0;
  }
  return 0;
}

nlohmann::json StagesJson(const StageTimes& times, int64_t frames) {
  nlohmann::json stages = nlohmann::json::object();
  for (int i = 0; i < kStageCount; ++i) {
    const auto stage = static_cast<Stage>(i);
    stages[std::string(StageName(stage))] = MillisecondsPerFrame(times, stage, frames);
  }
  return stages;
}

std::string StageTable(const StageTimes& times, int64_t frames) {
  std::string table = fmt::format("  {:<10}{:<16}{:>12}\n", "part", "stage", "ms a frame");
  double sum = 0;
  for (const Group& group : kGroups) {
    const char* name = group.name;
    for (auto i = static_cast<int>(group.first); i <= static_cast<int>(group.last); ++i) {
      const auto stage = static_cast<Stage>(i);
      const double ms = MillisecondsPerFrame(times, stage, frames);
      sum += ms;
      table += fmt::format("  {:<10}{:<16}{:>12.4f}\n", name, StageName(stage), ms);
      name = "";
    }
  }
  return table + fmt::format("  {:<10}{:<16}{:>12.4f}\n", "", "sum, all cores", sum);
}

}  // namespace lipcast::cli
