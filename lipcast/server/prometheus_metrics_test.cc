#include "lipcast/server/prometheus_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "lipcast/avatar/test_package.h"

namespace lipcast::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool IsWord(const std::string& text) {
  return !text.empty() && !std::isdigit(static_cast<unsigned char>(text[0])) &&
         std::ranges::all_of(
             text, [](unsigned char c) { return c == '_' || (c < 128 && std::isalnum(c)); });
}

/// `{a="b",c="d"}`, or nothing.
bool AreLabels(const std::string& text) {
  if (text.empty()) return true;
  size_t at = 1;
  while (true) {
    const size_t equals = text.find("=\"", at);
    if (equals == std::string::npos || !IsWord(text.substr(at, equals - at))) return false;
    for (at = equals + 2; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && std::string("\\\"n").find(text[++at]) == std::string::npos)
        return false;
    }
    if (text.substr(at) == "\"}") return true;
    if (text.substr(at, 2) != "\",") return false;
    at += 2;
  }
}

/// The page by the rules of the format, read by a second reader: sample -> value.
std::map<std::string, std::string> Read(const std::string& page) {
  EXPECT_TRUE(page.empty() || page.ends_with('\n'));
  std::map<std::string, std::string> samples;
  std::set<std::string> families;
  std::string family, kind;
  for (const std::string& line : Lines(page)) {
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      std::istringstream words(line.substr(7));
      words >> family >> kind;
      EXPECT_TRUE(families.insert(family).second) << family << " stands twice";
      continue;
    }
    const size_t space = line.rfind(' ');
    const std::string sample = line.substr(0, space), name = sample.substr(0, sample.find('{'));
    EXPECT_TRUE(space != std::string::npos && IsWord(name) && AreLabels(sample.substr(name.size())))
        << "no sample: " << line;
    EXPECT_TRUE(name == family ||
                (kind == "histogram" && (name == family + "_bucket" || name == family + "_sum" ||
                                         name == family + "_count")))
        << line << " in " << family;
    EXPECT_TRUE(samples.emplace(sample, line.substr(space + 1)).second) << line << " stands twice";
  }
  return samples;
}

std::string Sample(const PrometheusMetrics& metrics, const std::string& name) {
  const auto samples = Read(metrics.Render());
  const auto found = samples.find("lipcast_" + name);
  return found == samples.end() ? "absent" : found->second;
}

TEST(PrometheusMetrics, SaysNothingButThatNothingWasRefusedAtTheStart) {
  EXPECT_THAT(Lines(PrometheusMetrics().Render()),
              ElementsAre(HasSubstr("# HELP lipcast_metrics_refused_total "),
                          "# TYPE lipcast_metrics_refused_total counter",
                          "lipcast_metrics_refused_total 0"));
}

TEST(PrometheusMetrics, CountersAddUpAndGaugesKeepTheLast) {
  PrometheusMetrics metrics;
  metrics.Count("frames_total", 0);
  EXPECT_EQ(Sample(metrics, "frames_total"), "0");
  metrics.Count("frames_total", 3);
  metrics.Count("frames_total", 4);
  metrics.Count("frames_total", int64_t{1} << 53);
  EXPECT_EQ(Sample(metrics, "frames_total"), "9007199254740999");
  metrics.Gauge("workers", 8);
  metrics.Gauge("workers", 2.5);
  EXPECT_EQ(Sample(metrics, "workers"), "2.5");
  metrics.Gauge("av_skew_seconds", -0.1);
  EXPECT_EQ(Sample(metrics, "av_skew_seconds"), "-0.1");
  metrics.Gauge("av_skew_seconds", std::numeric_limits<double>::infinity());
  EXPECT_EQ(Sample(metrics, "av_skew_seconds"), "+Inf");
  metrics.Gauge("av_skew_seconds", -std::numeric_limits<double>::infinity());
  EXPECT_EQ(Sample(metrics, "av_skew_seconds"), "-Inf");
  metrics.Gauge("av_skew_seconds", std::nan(""));
  EXPECT_EQ(Sample(metrics, "av_skew_seconds"), "NaN");
}

TEST(PrometheusMetrics, AHistogramCountsUpToAndWithEachBound) {
  PrometheusMetrics metrics;
  for (const double value : {-1.0, 0.0, 0.0005, 0.00051, 0.04, 0.15, 0.5, 31.0}) {
    metrics.Observe("frame_seconds", value);
  }
  const auto samples = Read(metrics.Render());
  EXPECT_EQ(samples.at("lipcast_frame_seconds_bucket{le=\"0.0005\"}"), "3");
  EXPECT_EQ(samples.at("lipcast_frame_seconds_bucket{le=\"0.001\"}"), "4");
  EXPECT_EQ(samples.at("lipcast_frame_seconds_bucket{le=\"0.04\"}"), "5");
  EXPECT_EQ(samples.at("lipcast_frame_seconds_bucket{le=\"0.1\"}"), "5");
  EXPECT_EQ(samples.at("lipcast_frame_seconds_bucket{le=\"0.15\"}"), "6");
  EXPECT_EQ(samples.at("lipcast_frame_seconds_bucket{le=\"30\"}"), "7");
  EXPECT_EQ(samples.at("lipcast_frame_seconds_bucket{le=\"+Inf\"}"), "8");
  EXPECT_EQ(samples.at("lipcast_frame_seconds_count"), "8");
  EXPECT_NEAR(std::stod(samples.at("lipcast_frame_seconds_sum")), 30.69101, 1e-9);
  metrics.Observe("upload_bytes", 2000);
  EXPECT_EQ(Sample(metrics, "upload_bytes_bucket{le=\"1024\"}"), "0");
  EXPECT_EQ(Sample(metrics, "upload_bytes_bucket{le=\"16384\"}"), "1");
  metrics.Observe("batch", 3);
  EXPECT_EQ(Sample(metrics, "batch_bucket{le=\"2\"}"), "0");
  EXPECT_EQ(Sample(metrics, "batch_bucket{le=\"5\"}"), "1");
}

TEST(PrometheusMetrics, LabelsMakeSeriesOfOneFamilyInAnyOrder) {
  PrometheusMetrics metrics;
  metrics.Count("frames_dropped_total", 1);
  metrics.Count(Labelled("frames_dropped_total", {{"reason", "late"}}), 2);
  metrics.Count("frames_dropped_total_of_another", 9);  // sorts between the two as text
  metrics.Count(Labelled("requests_total", {{"method", "Speak"}, {"code", "OK"}}), 1);
  metrics.Count(Labelled("requests_total", {{"code", "OK"}, {"method", "Speak"}}), 1);
  metrics.Observe(Labelled("stage_seconds", {{"stage", "encode"}}), 0.003);
  EXPECT_EQ(Sample(metrics, "frames_dropped_total"), "1");
  EXPECT_EQ(Sample(metrics, "frames_dropped_total{reason=\"late\"}"), "2");
  EXPECT_EQ(Sample(metrics, "requests_total{code=\"OK\",method=\"Speak\"}"), "2");
  EXPECT_EQ(Sample(metrics, "stage_seconds_bucket{stage=\"encode\",le=\"0.005\"}"), "1");
  EXPECT_EQ(Sample(metrics, "stage_seconds_count{stage=\"encode\"}"), "1");
  EXPECT_EQ(Sample(metrics, "metrics_refused_total"), "0");
}

TEST(PrometheusMetrics, LabelValuesAreEscapedAndMayHoldAnyUtf8) {
  EXPECT_EQ(Labelled("a", {}), "a");
  const std::string name = Labelled("sessions", {{"avatar", "a\"b\\c\nd,e}=Анна 🙂"}});
  EXPECT_EQ(name, "sessions{avatar=\"a\\\"b\\\\c\\nd,e}=Анна 🙂\"}");
  PrometheusMetrics metrics;
  metrics.Gauge(name, 1);
  EXPECT_EQ(Sample(metrics, name), "1");
  EXPECT_EQ(Sample(metrics, "metrics_refused_total"), "0");
}

TEST(PrometheusMetrics, WhatIsNoSeriesIsRefusedAndCountedAndThePageStaysWhole) {
  PrometheusMetrics metrics;
  int refused = 0;
  for (const std::string& name : {std::string(),
                                  std::string("9a"),
                                  std::string("a b"),
                                  std::string("a-b"),
                                  std::string("a{"),
                                  std::string("a{}"),
                                  std::string("a{b}"),
                                  std::string("a{b=\"c\""),
                                  std::string("a{b=\"c}"),
                                  std::string("a{b=\"c\"}x"),
                                  std::string("a{b=\"c\",}"),
                                  std::string("a{b=\"c\",b=\"d\"}"),
                                  std::string("a{__b=\"c\"}"),
                                  std::string("a{le=\"1\"}"),
                                  std::string("a{b=\"\n\"}"),
                                  std::string("a{b=\"\\x\"}"),
                                  std::string("a{b=\"\\"),
                                  std::string("a\nb 1"),
                                  std::string("a{b=\"\xff\"}"),
                                  std::string("metrics_refused_total"),
                                  std::string("ä")}) {
    metrics.Count(name, 1);
    EXPECT_EQ(Sample(metrics, "metrics_refused_total"), std::to_string(++refused)) << name;
  }
  EXPECT_EQ(Lines(metrics.Render()).size(), 3U);
}

TEST(PrometheusMetrics, AnotherKindOfUseAndValuesThatAreNoneAreRefused) {
  PrometheusMetrics metrics;
  metrics.Count("mine", 1);
  metrics.Gauge("mine", 7);
  metrics.Gauge("mine{a=\"b\"}", 7);
  metrics.Gauge("frames_total", 7);  // the table says counter
  metrics.Count("frames_total", 2);
  metrics.Count("frames_total", -1);
  metrics.Observe("frame_seconds", std::nan(""));
  metrics.Observe("frame_seconds", std::numeric_limits<double>::infinity());
  metrics.Observe("frame_seconds", 0.1);
  EXPECT_EQ(Sample(metrics, "mine"), "1");
  EXPECT_EQ(Sample(metrics, "mine{a=\"b\"}"), "absent");
  EXPECT_EQ(Sample(metrics, "frames_total"), "2");
  EXPECT_EQ(Sample(metrics, "frame_seconds_count"), "1");
  EXPECT_EQ(Sample(metrics, "frame_seconds_sum"), "0.1");
  EXPECT_EQ(Sample(metrics, "metrics_refused_total"), "6");
}

TEST(PrometheusMetrics, TheNumberOfSeriesIsBounded) {
  PrometheusMetrics metrics(10);
  for (int i = 0; i < 1000; ++i) {
    metrics.Count(Labelled("a_total", {{"id", std::to_string(i)}}), 1);
    metrics.Count("name" + std::to_string(i), 1);
  }
  EXPECT_EQ(Read(metrics.Render()).size(), 11U);
  EXPECT_EQ(Sample(metrics, "metrics_refused_total"), "1990");
  metrics.Count("name0", 1);
  EXPECT_EQ(Sample(metrics, "name0"), "2");
}

TEST(PrometheusMetrics, EightThreadsLoseNothingWhileThePageIsRead) {
  PrometheusMetrics metrics;
  constexpr int kThreads = 8, kSteps = 2000;
  const auto work = [&](int thread) {
    for (int i = 0; i < kSteps; ++i) {
      metrics.Count("frames_total", 1);
      metrics.Observe("frame_seconds", 0.25);
      metrics.Gauge(Labelled("queue_depth", {{"queue", std::to_string(i % 50)}}), thread);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (int i = 0; i < 20; ++i) {
    const auto samples = Read(metrics.Render());
    const auto all = samples.find("lipcast_frame_seconds_bucket{le=\"+Inf\"}");
    if (all == samples.end()) continue;
    EXPECT_EQ(samples.at("lipcast_frame_seconds_count"), all->second);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Sample(metrics, "frames_total"), std::to_string(kThreads * kSteps));
  EXPECT_EQ(Sample(metrics, "frame_seconds_count"), std::to_string(kThreads * kSteps));
  EXPECT_EQ(Sample(metrics, "frame_seconds_sum"), std::to_string(kThreads * kSteps / 4));
  EXPECT_EQ(Sample(metrics, "metrics_refused_total"), "0");
}

TEST(PrometheusMetrics, TheTableIsInOrderAndItsNamesCarryTheirUnits) {
  std::string before;
  for (const KnownMetric& known : KnownMetrics()) {
    const std::string name(known.name);
    EXPECT_LT(before, name);
    before = name;
    EXPECT_EQ(name.ends_with("_total"), known.kind == MetricKind::kCounter) << name;
    EXPECT_TRUE(known.kind != MetricKind::kHistogram || name.ends_with("_seconds")) << name;
    EXPECT_FALSE(known.help.empty()) << name;
    EXPECT_EQ(known.help.find_first_of("\\\n"), std::string_view::npos) << name;
    PrometheusMetrics metrics;
    if (known.kind == MetricKind::kGauge) metrics.Gauge(name, 1);
    if (known.kind == MetricKind::kHistogram) metrics.Observe(name, 1);
    if (known.kind == MetricKind::kCounter) metrics.Count(name, 1);
    EXPECT_THAT(metrics.Render(), HasSubstr("# HELP lipcast_" + name + " " +
                                            std::string(known.help) + "\n# TYPE lipcast_" + name +
                                            " " + std::string(MetricKindName(known.kind)) + "\n"));
  }
}

TEST(PrometheusMetrics, AMetricByLabelsNamesTheirValuesOrIsOpen) {
  for (const KnownMetric& known : KnownMetrics()) {
    const bool labelled = known.help.find(", by ") != std::string_view::npos;
    EXPECT_EQ(labelled, !known.labels.empty() || known.open)
        << known.name << ": after its help say \"label=value|value\", or \"\", true where the "
        << "values are not known beforehand";
  }
}

TEST(PrometheusMetrics, AnnouncedCountersAndHistogramsAreThereAtZero) {
  PrometheusMetrics metrics;
  metrics.Announce();
  const auto samples = Read(metrics.Render());
  for (const KnownMetric& known : KnownMetrics()) {
    const std::string name = "lipcast_" + std::string(known.name);
    const bool there = std::ranges::any_of(samples, [&](const auto& sample) {
      return sample.first == name || sample.first.starts_with(name + "{") ||
             sample.first.starts_with(name + "_bucket{");
    });
    EXPECT_EQ(there, known.kind != MetricKind::kGauge && !known.open) << name;
  }
  for (const auto& [series, value] : samples) EXPECT_EQ(value, "0") << series;
  EXPECT_EQ(samples.at("lipcast_sessions_refused_total{reason=\"headroom\"}"), "0");
  EXPECT_EQ(samples.at("lipcast_stage_seconds_count{stage=\"mux\"}"), "0");
  metrics.Count("frames_dropped_total{reason=\"cleared\"}", 2);
  EXPECT_EQ(Sample(metrics, "frames_dropped_total{reason=\"cleared\"}"), "2");
}

/// Every literal that product code hands to Count, Gauge or Observe, with what it was handed to.
std::map<std::string, std::set<std::string>> NamesInSources() {
  std::map<std::string, std::set<std::string>> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           std::filesystem::path(LIPCAST_SOURCE_DIR) / "lipcast")) {
    const std::string path = entry.path().string();
    if (!path.ends_with(".cc") || path.ends_with("_test.cc")) continue;
    const std::string text = avatar::ReadFile(entry.path());
    for (const std::string call : {"Count", "Gauge", "Observe"}) {
      for (size_t at = 0; (at = text.find(call + "(", at)) != std::string::npos;) {
        at = text.find_first_not_of(" \n", at + call.size() + 1);
        if (text.compare(at, 9, "Labelled(") == 0) at = text.find_first_not_of(" \n", at + 9);
        if (text[at] == '"')
          names[text.substr(at + 1, text.find_first_of("\"{", at + 1) - at - 1)].insert(call);
      }
    }
  }
  return names;
}

TEST(PrometheusMetrics, EveryMetricThatTheProgramCountsIsExplainedInTheTable) {
  const auto used = NamesInSources();
  EXPECT_THAT(used, Contains(testing::Key("avatar_loads_total")));
  for (const auto& [name, calls] : used) {
    const auto known = std::ranges::find(KnownMetrics(), name, &KnownMetric::name);
    if (known == KnownMetrics().end()) {
      ADD_FAILURE() << name << ": add it to the table in prometheus_metrics.cc";
      continue;
    }
    const char* const call = known->kind == MetricKind::kCounter ? "Count"
                             : known->kind == MetricKind::kGauge ? "Gauge"
                                                                 : "Observe";
    EXPECT_THAT(calls, ElementsAre(call)) << name;
  }
}

TEST(PrometheusMetrics, ThePageForOperatorsListsEveryMetric) {
  const std::string page =
      avatar::ReadFile(std::filesystem::path(LIPCAST_SOURCE_DIR) / "docs/operations.md");
  for (const KnownMetric& known : KnownMetrics()) {
    EXPECT_THAT(page, HasSubstr("\n| `lipcast_" + std::string(known.name) + "` | " +
                                std::string(MetricKindName(known.kind)) + " | " +
                                std::string(known.help) + " |\n"));
  }
  size_t rows = 0;
  for (size_t at = 0; (at = page.find("\n| `lipcast_", at)) != std::string::npos; ++at) ++rows;
  EXPECT_EQ(rows, KnownMetrics().size()) << "a row for a metric that is gone";
}

}  // namespace
}  // namespace lipcast::server
