#include "lipcast/cli/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace lipcast::cli {
namespace {

using namespace std::chrono_literals;

TEST(Report, TellsMillisecondsOfOneFrameForEveryStage) {
  StageTimes times;
  times.Add(Stage::kGenerator, 30ms);
  times.Add(Stage::kGenerator, 10ms);
  times.Add(Stage::kMux, 500us);
  const nlohmann::json stages = StagesJson(times, 4);
  EXPECT_EQ(stages.size(), static_cast<size_t>(kStageCount));
  EXPECT_DOUBLE_EQ(stages["generator"], 10.0);
  EXPECT_DOUBLE_EQ(stages["mux"], 0.125);
  EXPECT_DOUBLE_EQ(stages["decode"], 0.0);
}

TEST(Report, DividesByOneWhereNoFrameCameOut) {
  StageTimes times;
  times.Add(Stage::kDecode, 2ms);
  EXPECT_DOUBLE_EQ(StagesJson(times, 0)["decode"], 2.0);
}

TEST(Report, ListsEachStageOnceInATableThatEndsWithTheirSum) {
  StageTimes times;
  for (int i = 0; i < kStageCount; ++i) times.Add(static_cast<Stage>(i), 1ms);
  const std::string table = StageTable(times, 1);
  std::istringstream lines(table);
  std::string line, last;
  int count = 0;
  for (; std::getline(lines, line); ++count) last = line;
  EXPECT_EQ(count, kStageCount + 2);
  for (int i = 0; i < kStageCount; ++i) {
    const std::string name = " " + std::string(StageName(static_cast<Stage>(i))) + " ";
    const size_t at = table.find(name);
    ASSERT_NE(at, std::string::npos) << name;
  }
  EXPECT_NE(last.find("sum, all cores"), std::string::npos);
  EXPECT_NE(last.find(std::to_string(kStageCount) + ".0000"), std::string::npos) << last;
}

TEST(Report, KnowsTheMachineItRanOn) {
  EXPECT_FALSE(CpuName().empty());
  EXPECT_GE(CoreCount(), 1);
  EXPECT_GT(PeakRssMb(), 1);
  EXPECT_LT(PeakRssMb(), 4096);
}

}  // namespace
}  // namespace lipcast::cli
