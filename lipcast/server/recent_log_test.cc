#include "lipcast/server/recent_log.h"

#include <gtest/gtest.h>

namespace lipcast::server {
namespace {

TEST(RecentLog, PassesEveryLineOnAndKeepsTheLatestWarningsAndErrors) {
  MemoryLogSink next;
  auto now = std::chrono::system_clock::time_point{};
  RecentLog log(next, [&] { return now += std::chrono::seconds(1); });
  log.Log(LogLevel::kInfo, "avatar_loaded", {{"avatar", "anna"}});
  log.Log(LogLevel::kWarning, "reader_slow", {{"session", "7"}});
  log.Log(LogLevel::kError, "load_failed", {{"why", std::string(10'000, 'x')}});
  EXPECT_EQ(next.lines().size(), 3U);
  const auto lines = log.Lines();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].event, "load_failed");
  EXPECT_EQ(lines[0].level, LogLevel::kError);
  EXPECT_LT(lines[0].fields.at(0).value.size(), RecentLog::kValueBytes + 10);
  EXPECT_EQ(lines[1].event, "reader_slow");
  EXPECT_EQ(lines[1].fields.at(0).key, "session");
  EXPECT_EQ(lines[1].fields.at(0).value, "7");
  EXPECT_EQ(lines[1].time, std::chrono::system_clock::time_point{} + std::chrono::seconds(1));
}

TEST(RecentLog, IsBounded) {
  NullLogSink next;
  RecentLog log(next);
  for (size_t i = 0; i < 3 * RecentLog::kKept; ++i) {
    log.Log(LogLevel::kWarning, "session_refused", {{"number", std::to_string(i)}});
  }
  const auto lines = log.Lines();
  ASSERT_EQ(lines.size(), RecentLog::kKept);
  EXPECT_EQ(lines.front().fields.at(0).value, std::to_string(3 * RecentLog::kKept - 1));
}

}  // namespace
}  // namespace lipcast::server
