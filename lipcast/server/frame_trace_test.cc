#include "lipcast/server/frame_trace.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "lipcast/avatar/test_package.h"

namespace lipcast::server {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

/// Drawn 60 ms before it is due, its mouth by the generator, encoded, sent.
FrameSteps StepsOf(int64_t frame) {
  const TimePoint due = TimePoint(std::chrono::hours(1)) + milliseconds(40 * frame);
  FrameSteps steps;
  steps.frame = frame;
  steps.due = due;
  steps.taken = due + milliseconds(1);
  steps.drawn = {due - milliseconds(60), due - milliseconds(55), due - milliseconds(30),
                 due - milliseconds(20)};
  steps.encoded_from = due + milliseconds(2);
  steps.encoded_to = due + milliseconds(5);
  steps.sent = due + milliseconds(6);
  return steps;
}

/// A frame that was not ready: nothing but due, taken and sent.
FrameSteps LateSteps(int64_t frame) {
  FrameSteps steps = StepsOf(frame);
  steps.drawn = {};
  steps.encoded_from = steps.encoded_to = {};
  return steps;
}

class FrameTraceTest : public testing::Test {
 protected:
  std::filesystem::path path() const { return folder_.path() / "trace.json"; }
  std::unique_ptr<FrameTrace> Open(TraceFormat format, int every = 1, int64_t max_bytes = 1 << 20) {
    auto trace = FrameTrace::Open({path(), format, every, max_bytes});
    EXPECT_TRUE(trace.ok()) << trace.status().ToString();
    return trace.ok() ? *std::move(trace) : nullptr;
  }
  std::string Text() const { return avatar::ReadFile(path()); }

  TempFolder folder_;
};

struct Interval {
  double begin = 0, end = 0;
};

/// Spans of each id by name; every "e" must close the newest open "b".
std::map<std::string, std::map<std::string, Interval>> ChromeSpans(const Json& file) {
  std::map<std::string, std::map<std::string, Interval>> spans;
  std::map<std::string, std::vector<std::string>> open;
  for (const Json& event : file.at("traceEvents")) {
    const std::string phase = event.at("ph");
    if (phase == "M" || phase == "n") continue;
    const std::string id = event.at("id"), name = event.at("name");
    if (phase == "b") {
      open[id].push_back(name);
      EXPECT_FALSE(spans[id].contains(name)) << id << " " << name;
      spans[id][name].begin = event.at("ts");
    } else {
      EXPECT_EQ(phase, "e");
      EXPECT_EQ(open[id].back(), name) << id;
      open[id].pop_back();
      spans[id][name].end = event.at("ts");
    }
  }
  for (const auto& [id, left] : open) EXPECT_TRUE(left.empty()) << id;
  return spans;
}

TEST_F(FrameTraceTest, WithoutAFileItWantsNoFrame) {
  FrameTrace off;
  for (int64_t frame = 0; frame < 100; ++frame) EXPECT_FALSE(off.Wants(frame));
  off.Add("s", "anna", StepsOf(0));
}

TEST_F(FrameTraceTest, WantsEveryNthFrame) {
  const auto trace = Open(TraceFormat::kChrome, 3);
  std::vector<int64_t> wanted;
  for (int64_t frame = 0; frame < 10; ++frame) {
    if (trace->Wants(frame)) wanted.push_back(frame);
  }
  EXPECT_EQ(wanted, (std::vector<int64_t>{0, 3, 6, 9}));
}

TEST_F(FrameTraceTest, ChromeSpansNestAndLastAsLongAsTheirSteps) {
  {
    const auto trace = Open(TraceFormat::kChrome);
    trace->Add("s-1", "anna \"a\"\n", StepsOf(0));
    trace->Add("s-1", "anna", StepsOf(1));
    trace->Add("s-2", "anna", LateSteps(0));
  }
  const Json file = Json::parse(Text());
  const auto spans = ChromeSpans(file);
  ASSERT_EQ(spans.size(), 3U);
  for (const char* id : {"s-1:0", "s-1:1"}) {
    const auto& of = spans.at(id);
    ASSERT_EQ(of.size(), 5U);
    const std::map<std::string, double> wanted = {
        {"frame", 66e3}, {"draw", 40e3}, {"generator", 25e3}, {"encode", 3e3}, {"send", 1e3}};
    for (const auto& [name, us] : wanted) {
      const Interval& span = of.at(name);
      EXPECT_NEAR(span.end - span.begin, us, 1) << name;
      EXPECT_GE(span.begin, of.at("frame").begin) << name;
      EXPECT_LE(span.end, of.at("frame").end) << name;
    }
    EXPECT_GE(of.at("generator").begin, of.at("draw").begin);
    EXPECT_LE(of.at("generator").end, of.at("draw").end);
    EXPECT_GE(of.at("encode").begin, of.at("draw").end);
    EXPECT_EQ(of.at("send").begin, of.at("encode").end);
  }
  EXPECT_EQ(spans.at("s-2:0").size(), 2U);
  EXPECT_EQ(file["traceEvents"][0]["args"]["avatar"], "anna \"a\"\n");
}

TEST_F(FrameTraceTest, OtlpHasOneLineAFrameAndItsSpansHaveParents) {
  {
    const auto trace = Open(TraceFormat::kOtlp);
    for (int64_t frame = 0; frame < 3; ++frame) trace->Add("s-1", "anna", StepsOf(frame));
  }
  std::set<std::string> traces;
  std::istringstream lines(Text());
  for (std::string line; std::getline(lines, line);) {
    const Json spans = Json::parse(line)["resourceSpans"][0]["scopeSpans"][0]["spans"];
    ASSERT_EQ(spans.size(), 5U);
    std::map<std::string, Json> by_id;
    for (const Json& span : spans) {
      const std::string trace_id = span.at("traceId"), id = span.at("spanId");
      EXPECT_EQ(trace_id.size(), 32U);
      EXPECT_EQ(id.size(), 16U);
      EXPECT_EQ(trace_id, spans[0].at("traceId").get<std::string>());
      EXPECT_TRUE(by_id.emplace(id, span).second);
      const auto begin = std::stoll(span.at("startTimeUnixNano").get<std::string>());
      const auto end = std::stoll(span.at("endTimeUnixNano").get<std::string>());
      EXPECT_LE(begin, end);
      if (!span.contains("parentSpanId")) {
        EXPECT_EQ(span.at("name"), "frame");
        continue;
      }
      const Json& parent = by_id.at(span.at("parentSpanId"));
      EXPECT_EQ(parent.at("name"), span.at("name") == "generator" ? "draw" : "frame");
      EXPECT_GE(begin, std::stoll(parent.at("startTimeUnixNano").get<std::string>()));
      EXPECT_LE(end, std::stoll(parent.at("endTimeUnixNano").get<std::string>()));
    }
    traces.insert(spans[0].at("traceId"));
  }
  EXPECT_EQ(traces.size(), 3U);
}

TEST_F(FrameTraceTest, TheFileStaysWithinItsBoundAndWhole) {
  {
    const auto trace = Open(TraceFormat::kChrome, 1, 10'000);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int64_t frame = 0; frame < 50; ++frame) {
          trace->Add("s" + std::to_string(t), "anna", StepsOf(frame));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_FALSE(trace->Wants(50));
  }
  const std::string text = Text();
  EXPECT_LE(text.size(), 10'200U);
  EXPECT_GT(ChromeSpans(Json::parse(text)).size(), 2U);
}

TEST_F(FrameTraceTest, AFileThatCannotBeWrittenIsRefusedWithItsName) {
  const auto missing = folder_.path() / "no" / "trace.json";
  EXPECT_EQ(FrameTrace::Open({missing, TraceFormat::kChrome, 1, 100}).status(),
            Status(Code::kInvalidArgument, "trace.file = " + missing.string() +
                                               ": cannot be written: No such file or directory"));
}

}  // namespace
}  // namespace lipcast::server
