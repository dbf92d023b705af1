#include "lipcast/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

namespace lipcast {
namespace {

std::string Value(const std::string& value) {
  const LogField fields[] = {{"v", value}};
  return FormatLogLine(LogLevel::kInfo, "e", fields).substr(7);  // without "info e "
}

TEST(LogLine, IsLevelEventAndFields) {
  const LogField fields[] = {{"session", "7"}, {"late_frames", "2"}};
  EXPECT_EQ(FormatLogLine(LogLevel::kWarning, "frames_late", fields),
            "warning frames_late session=7 late_frames=2");
  EXPECT_EQ(FormatLogLine(LogLevel::kDebug, "e", {}), "debug e");
  EXPECT_EQ(FormatLogLine(LogLevel::kInfo, "e", {}), "info e");
  EXPECT_EQ(FormatLogLine(LogLevel::kError, "e", {}), "error e");
}

TEST(LogLine, QuotesWhatWouldNotReadBackAsOneValue) {
  EXPECT_EQ(Value("plain-1.5/x"), "v=plain-1.5/x");
  EXPECT_EQ(Value(""), "v=\"\"");
  EXPECT_EQ(Value("two words"), "v=\"two words\"");
  EXPECT_EQ(Value("a=b"), "v=\"a=b\"");
  EXPECT_EQ(Value("say \"hi\" \\o/"), R"(v="say \"hi\" \\o/")");
}

TEST(LogLine, KeepsWordsOfEveryLanguage) {
  EXPECT_EQ(Value("Jürgen 李"), "v=\"Jürgen 李\"");
  EXPECT_EQ(Value("Jürgen"), "v=Jürgen");
}

TEST(LogLine, LetsNoValueStartALineOrSteerATerminal) {
  EXPECT_EQ(Value("a\nerror b"), R"(v="a\x0aerror b")");
  EXPECT_EQ(Value("\r\t\x1b[2J"), R"(v="\x0d\x09\x1b[2J")");
  EXPECT_EQ(Value(std::string("a\0b", 3)), R"(v="a\x00b")");
  EXPECT_EQ(Value("a\x7f"), R"(v="a\x7f")");  // DEL
  EXPECT_EQ(Value("a\xc2\x85"
                  "b"),
            R"(v="a\xc2\x85b")");  // C1: next line
  EXPECT_EQ(Value("\xc2\x9b"
                  "2J"),
            R"(v="\xc2\x9b2J")");  // C1: a terminal's escape
  EXPECT_EQ(Value("\xe2\x80\xa8"
                  "b"),
            R"(v="\xe2\x80\xa8b")");  // line separator
  for (int byte = 0; byte < 0x20; ++byte) {
    const std::string line = Value(std::string(1, static_cast<char>(byte)) + "x");
    EXPECT_TRUE(std::ranges::all_of(line, [](char c) { return c >= ' '; })) << byte;
  }
}

TEST(MemoryLogSink, KeepsLinesInOrder) {
  MemoryLogSink sink;
  LogSink& log = sink;
  log.Log(LogLevel::kInfo, "started", {{"port", "0"}});
  log.Log(LogLevel::kError, "stopped", {});
  EXPECT_THAT(sink.lines(), testing::ElementsAre("info started port=0", "error stopped"));
}

TEST(MemoryLogSink, TakesLinesFromManyThreads) {
  MemoryLogSink sink;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) sink.Log(LogLevel::kInfo, "e", {{"i", std::to_string(i)}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sink.lines().size(), 200);
}

TEST(NullLogSink, Swallows) {
  NullLogSink sink;
  sink.Log(LogLevel::kError, "e", {{"k", "v"}});
}

}  // namespace
}  // namespace lipcast
