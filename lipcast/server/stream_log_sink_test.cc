#include "lipcast/server/stream_log_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

namespace lipcast::server {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Lines = std::vector<std::string>;

/// 2026-11-25T15:04:05.007Z
std::chrono::system_clock::time_point SomeTime() {
  return std::chrono::system_clock::time_point(milliseconds(1'795'619'045'007));
}

class Pipe {
 public:
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    read_ = ends[0];
    write_ = ends[1];
  }
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }
  int write_end() const { return write_; }
  void CloseRead() {
    if (read_ >= 0) close(read_);
    read_ = -1;
  }
  void CloseWrite() {
    if (write_ >= 0) close(write_);
    write_ = -1;
  }
  /// Waits for a line.
  std::string ReadLine() {
    std::string line;
    for (char c = 0; read(read_, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
  /// All until the other end is closed.
  std::string ReadAll() {
    std::string all;
    char piece[4096];
    for (ssize_t n = 0; (n = read(read_, piece, sizeof piece)) > 0;) {
      all.append(piece, static_cast<size_t>(n));
    }
    return all;
  }

 private:
  int read_ = -1, write_ = -1;
};

Lines Split(const std::string& text) {
  EXPECT_TRUE(text.empty() || text.ends_with('\n'));
  Lines lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// What a sink writes for what `work` logs.
template <typename Work>
Lines Written(StreamLogOptions options, const Work& work) {
  options.now = SomeTime;
  options.close = hours(1);
  Pipe pipe;
  std::string text;
  std::thread reader([&] { text = pipe.ReadAll(); });
  {
    StreamLogSink sink(pipe.write_end(), options);
    work(sink);
  }
  pipe.CloseWrite();
  reader.join();
  return Split(text);
}

TEST(StreamLogSink, WritesTextWithTimeLevelEventAndFields) {
  EXPECT_THAT(
      Written({},
              [](LogSink& sink) {
                sink.Log(LogLevel::kInfo, "avatar_loaded", {{"avatar", "anna"}, {"ms", "812"}});
                sink.Log(LogLevel::kError, "boom", {{"why", "two words\nand a line"}});
              }),
      ElementsAre("2026-11-25T15:04:05.007Z info avatar_loaded avatar=anna ms=812",
                  "2026-11-25T15:04:05.007Z error boom why=\"two words\\x0aand a line\""));
}

TEST(StreamLogSink, WritesOneJsonObjectALine) {
  EXPECT_THAT(Written({.json = true},
                      [](LogSink& sink) {
                        sink.Log(LogLevel::kWarning, "refused", {{"session", "7"}, {"who", ""}});
                      }),
              ElementsAre("{\"time\":\"2026-11-25T15:04:05.007Z\",\"level\":\"warning\","
                          "\"event\":\"refused\",\"session\":\"7\",\"who\":\"\"}"));
}

TEST(StreamLogSink, EveryTextSurvivesJsonAndNoneBreaksItsLine) {
  std::string ascii;
  for (char c = 0; c >= 0 && c < 127; ++c) ascii += c;
  ascii += '\x7f';
  const std::string separators = "a\u0085b\u009fc\u2028d\u2029e";
  const std::string good = "Анна 🙂 \u00a0 \u0100 \uffff \U0010ffff \\u0041 \"";
  const Lines lines = Written({.json = true}, [&](LogSink& sink) {
    sink.Log(LogLevel::kInfo, "texts", {{"a", ascii}, {"s", separators}, {"g", good}});
  });
  ASSERT_EQ(lines.size(), 1U);
  for (const char c : lines[0]) EXPECT_FALSE(static_cast<unsigned char>(c) < ' ' || c == '\x7f');
  EXPECT_EQ(lines[0].find("\u0085"), std::string::npos);
  EXPECT_EQ(lines[0].find("\u2028"), std::string::npos);
  const auto json = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(json["a"], ascii);
  EXPECT_EQ(json["s"], separators);
  EXPECT_EQ(json["g"], good);
}

TEST(StreamLogSink, BrokenUtf8IsReplacedByteByByte) {
  std::string bytes;
  for (int c = 128; c < 256; ++c) bytes += static_cast<char>(c);
  const Lines lines = Written({.json = true}, [&](LogSink& sink) {
    sink.Log(LogLevel::kInfo, "bytes",
             {{"all", bytes}, {"cut", "a\xf0\x9f\x99"}, {"over", "\xc0\xaf"}, {"k\xff", "v"}});
  });
  ASSERT_EQ(lines.size(), 1U);
  const auto json = nlohmann::json::parse(lines[0]);
  std::string wanted;
  for (int i = 0; i < 128; ++i) wanted += "\ufffd";
  EXPECT_EQ(json["all"], wanted);
  EXPECT_EQ(json["cut"], "a\ufffd\ufffd\ufffd");
  EXPECT_EQ(json["over"], "\ufffd\ufffd");
  EXPECT_EQ(json["k\ufffd"], "v");
}

TEST(StreamLogSink, AFieldCannotPoseAsTimeLevelOrEvent) {
  const Lines lines = Written({.json = true}, [](LogSink& sink) {
    sink.Log(LogLevel::kInfo, "e", {{"time", "t"}, {"level", "error"}, {"event", "x"}});
  });
  ASSERT_EQ(lines.size(), 1U);
  const auto json = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(json.size(), 6U);
  EXPECT_EQ(json["level"], "info");
  EXPECT_EQ(json["event"], "e");
  EXPECT_EQ(json["field_level"], "error");
}

TEST(StreamLogSink, WhatIsBelowTheLevelIsNotWritten) {
  const LogLevel levels[] = {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning,
                             LogLevel::kError};
  for (size_t least = 0; least < 4; ++least) {
    for (const bool later : {false, true}) {
      StreamLogOptions options;
      if (!later) options.least = levels[least];
      Pipe pipe;
      {
        StreamLogSink sink(pipe.write_end(), options);
        if (later) sink.set_least(levels[least]);
        for (const LogLevel level : levels) sink.Log(level, "e", {});
      }
      pipe.CloseWrite();
      EXPECT_EQ(Split(pipe.ReadAll()).size(), 4 - least);
    }
  }
}

TEST(StreamLogSink, OfEachKindOfDebugLineOneInSoManyIsWritten) {
  const Lines lines = Written({.least = LogLevel::kDebug, .debug_sample = 3}, [](LogSink& sink) {
    for (int i = 0; i < 10; ++i) {
      sink.Log(LogLevel::kDebug, "often", {{"i", std::to_string(i)}});
      if (i == 4) sink.Log(LogLevel::kDebug, "once", {});
      sink.Log(LogLevel::kInfo, "always", {});
    }
  });
  std::string debug;
  for (const std::string& line : lines) {
    if (line.find(" debug ") != std::string::npos)
      debug += line.substr(line.find("debug ") + 6) + ";";
  }
  EXPECT_EQ(debug, "often i=0;often i=3;once;often i=6;often i=9;");
  EXPECT_EQ(lines.size(), 15U);
}

TEST(StreamLogSink, LinesLeaveAtOnceUnlessTheyAreGathered) {
  Pipe pipe;
  StreamLogSink sink(pipe.write_end());
  sink.Log(LogLevel::kInfo, "first", {});
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("info first"));
}

TEST(StreamLogSink, AWarningTakesTheGatheredLinesWithIt) {
  Pipe pipe;
  StreamLogOptions options;
  options.flush = hours(1);
  StreamLogSink sink(pipe.write_end(), options);
  sink.Log(LogLevel::kInfo, "gathered", {});
  sink.Log(LogLevel::kWarning, "now", {});
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("info gathered"));
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("warning now"));
}

TEST(StreamLogSink, TheEndWritesWhatIsGathered) {
  EXPECT_EQ(Written({.flush = hours(1)},
                    [](LogSink& sink) {
                      for (int i = 0; i < 1000; ++i) sink.Log(LogLevel::kInfo, "gathered", {});
                    })
                .size(),
            1000U);
}

TEST(StreamLogSink, AReaderThatStopsHoldsNobodyUpAndWhatIsLostIsNamed) {
  Pipe pipe;
  StreamLogOptions options;
  options.pending_bytes = 4096;
  options.close = hours(1);
  auto sink = std::make_unique<StreamLogSink>(pipe.write_end(), options);
  constexpr int kLines = 20'000;
  for (int i = 0; i < kLines; ++i) sink->Log(LogLevel::kInfo, "e", {{"i", std::to_string(i)}});
  const int64_t dropped = sink->dropped();
  EXPECT_GT(dropped, kLines / 2);
  std::string text;
  std::thread reader([&] { text = pipe.ReadAll(); });
  sink.reset();
  pipe.CloseWrite();
  reader.join();
  int64_t lines = 0, named = 0;
  for (const std::string& line : Split(text)) {
    const size_t at = line.find("warning log_lines_dropped lines=");
    ++(at == std::string::npos ? lines : named);
    if (at != std::string::npos) named += std::stoll(line.substr(line.find('=') + 1)) - 1;
  }
  EXPECT_EQ(named, dropped);
  EXPECT_EQ(lines + named, kLines);
}

TEST(StreamLogSink, ALineAboveTheBoundIsNamedAsLost) {
  const Lines lines = Written({.pending_bytes = 100}, [](LogSink& sink) {
    sink.Log(LogLevel::kInfo, "huge", {{"v", std::string(1000, 'x')}});
  });
  EXPECT_THAT(lines, ElementsAre(HasSubstr("warning log_lines_dropped lines=1")));
}

TEST(StreamLogSink, TheEndWaitsForAStuckReaderOnlySoLong) {
  Pipe pipe;
  StreamLogOptions options;
  options.close = milliseconds(0);
  StreamLogSink sink(pipe.write_end(), options);
  const std::string long_value(1000, 'x');
  for (int i = 0; i < 2000; ++i) sink.Log(LogLevel::kInfo, "e", {{"v", long_value}});
}  // ends

TEST(StreamLogSink, AReaderThatIsGoneCostsItsLinesAndNothingElse) {
  Pipe pipe;
  pipe.CloseRead();
  std::optional<StreamLogSink> sink(std::in_place, pipe.write_end());
  sink->Log(LogLevel::kInfo, "one", {});
  while (sink->dropped() < 1) std::this_thread::yield();
  sink->Log(LogLevel::kInfo, "two", {});
  while (sink->dropped() < 2) std::this_thread::yield();
  sink.reset();
  StreamLogSink closed(-1);
  closed.Log(LogLevel::kError, "nowhere", {});
}

TEST(StreamLogSink, LinesOfEightThreadsStayWhole) {
  const Lines lines = Written({.json = true}, [](LogSink& sink) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&sink, t] {
        for (int i = 0; i < 100; ++i) {
          sink.Log(LogLevel::kInfo, "e", {{"t", std::to_string(t)}, {"i", std::to_string(i)}});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  ASSERT_EQ(lines.size(), 800U);
  int next[8] = {};
  for (const std::string& line : lines) {
    const auto json = nlohmann::json::parse(line);
    int& i = next[std::stoi(json["t"].get<std::string>())];
    EXPECT_EQ(json["i"], std::to_string(i++));
  }
}

}  // namespace
}  // namespace lipcast::server
