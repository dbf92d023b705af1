#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lipcast/base/metrics.h"

namespace lipcast::server {

enum class MetricKind { kCounter, kGauge, kHistogram };
std::string_view MetricKindName(MetricKind kind);  ///< "counter"

/// A metric as /metrics explains it. Units stand in the names, as Prometheus wants it.
struct KnownMetric {
  std::string_view name;  ///< without "lipcast_"
  MetricKind kind;
  std::string_view help;
  /// The label and its values, where they are known beforehand: "reason=limit|headroom".
  std::string_view labels = {};
  bool open = false;  ///< has labels whose values show only as they come
};
std::span<const KnownMetric> KnownMetrics();

/// `name{key="value"}`, the values escaped: what Count, Gauge and Observe take for a series.
std::string Labelled(std::string_view name,
                     std::initializer_list<std::pair<std::string_view, std::string_view>> labels);

/// Counters, gauges and histograms for a Prometheus server to read. The kind of a metric is the
/// table's, else that of its first use. Announce makes the table's counters and histograms visible
/// before their first event, so that a rate is right from the start.
/// Names:   letters, digits and _, with labels as Labelled writes them; the order of the labels
///          does not matter. Histograms of *_seconds and *_bytes have bounds to their unit.
/// Refused: malformed names, another kind of use, values that are no number, a counter going
///          down, series above the limit. They are counted (metrics_refused_total) and change
///          nothing.
/// Thread:  any. A series that exists costs a shared lock and an atomic addition; Render keeps
///          only new series waiting.
class PrometheusMetrics final : public Metrics {
 public:
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  explicit PrometheusMetrics(size_t max_series = 4096) : max_series_(max_series) {}

  void Announce();
  void Count(std::string_view name, int64_t by) override;
  void Gauge(std::string_view name, double value) override;
  void Observe(std::string_view name, double value) override;

  /// The text exposition format 0.0.4; every name begins with "lipcast_".
  std::string Render() const;

 private:
  struct Series {
    MetricKind kind = MetricKind::kCounter;
    std::span<const double> bounds;                   // of a histogram, ascending
    std::unique_ptr<std::atomic<int64_t>[]> buckets;  // one more than bounds
    std::atomic<int64_t> count = 0;
    std::atomic<double> value = 0;  // a gauge's, or a histogram's sum
  };
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using SeriesKey = std::pair<std::string, std::string>;  // name, labels in order

  Series* Find(std::string_view text, MetricKind kind);
  Series* Add(std::string_view text, MetricKind kind);

  const size_t max_series_;
  std::atomic<int64_t> refused_ = 0;
  mutable std::shared_mutex mu_;
  std::map<SeriesKey, Series> series_;  // guarded by mu_; its values are atomic
  /// By the text that callers use; several may mean one series.
  std::unordered_map<std::string, Series*, TextHash, std::equal_to<>> by_text_;  // guarded by mu_
  std::unordered_map<std::string, MetricKind> kinds_;                            // guarded by mu_
};

}  // namespace lipcast::server
