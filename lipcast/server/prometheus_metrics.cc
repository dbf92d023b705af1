#include "lipcast/server/prometheus_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <mutex>
#include <optional>

#include "lipcast/avatar/package_path.h"

namespace lipcast::server {
namespace {

using enum MetricKind;

constexpr std::string_view kRefused = "metrics_refused_total";
constexpr std::string_view kStages =
    "stage=decode|resample|stft|filterbank|log|normalise|windows|audio_encoder|background|"
    "generator|"
    "pack|unpack|resize|paste|encode|mux";

// clang-format off
constexpr KnownMetric kKnown[] = {
    {"audio_seconds_total", kCounter, "Sound taken in by sessions, in seconds"},
    {"auth_failures_total", kCounter, "Requests refused for their token, by reason", "reason=missing|rate|wrong"},
    {"av_skew_seconds", kGauge, "Largest distance between picture and sound of any session now"},
    {"avatar_evictions_total", kCounter, "Avatars unloaded to make room, or idle for too long"},
    {"avatar_load_failures_total", kCounter, "Avatar loads that failed"},
    {"avatar_load_seconds", kHistogram, "Time to load an avatar"},
    {"avatar_loads_total", kCounter, "Avatars loaded or replaced"},
    {"avatars_loaded", kGauge, "Avatars in memory"},
    {"cache_bytes", kGauge, "Memory held, by cache (models, frames, features)", "cache=models|frames|features"},
    {"clear_seconds", kHistogram, "From the request to clear until its answer"},
    {"escaped_exceptions_total", kCounter, "Exceptions caught at the root of a worker: a fault"},
    {"feature_cache_bytes", kGauge, "Image features of optimised avatars, by what is counted (held, the budget, what all frames would need)", "of=budget|held|needed"},
    {"first_frame_seconds", kHistogram, "From the first sound of an utterance to its first frame"},
    {"frame_seconds", kHistogram, "From a frame being due (live) or taken (file pace) until it can be sent"},
    {"frames_dropped_total", kCounter, "Frames sent without a picture, or not at all, by reason", "reason=cleared|ended|not_encoded|slow_encoder|slow_reader"},
    {"frames_generated_total", kCounter, "Frames whose mouth was drawn by the networks"},
    {"frames_late_total", kCounter, "Frames shown as a repeat of the last picture, as they were not ready"},
    {"frames_per_second", kGauge, "Frames sent a second by all live sessions, over 5 s"},
    {"frames_total", kCounter, "Frames that left their sessions, to be sent"},
    {kRefused, kCounter, "Values that this page could not take: a fault"},
    {"not_finite_frames_total", kCounter, "Frames that show the source picture as the network gave NaN or infinity"},
    {"queue_depth", kGauge, "What waits, by queue (workers: tasks; slow: files and opens; loads: avatars; events: of the session with most; renders: not begun)", "queue=workers|slow|loads|events|renders"},
    {"recording_disk_bytes", kGauge, "Files of recordings on the disk, also those under way"},
    {"recording_frames_total", kCounter, "Frames of recordings that ended"},
    {"recordings", kGauge, "Sessions being recorded, also those whose file is being closed"},
    {"recordings_total", kCounter, "Recordings that ended, by state (done, failed, removed)", "state=done|failed|removed"},
    {"render_disk_bytes", kGauge, "Sounds and files of renders on the disk"},
    {"render_frames_total", kCounter, "Frames of renders"},
    {"renders_total", kCounter, "Renders that ended, by state (done, failed, cancelled)", "state=done|failed|cancelled"},
    {"requests_total", kCounter, "Requests answered, by interface, method and code", "", true},
    {"resident_memory_bytes", kGauge, "Memory of the process"},
    {"sessions", kGauge, "Open sessions, by state (opening, idle, speaking)", "state=opening|idle|speaking"},
    {"sessions_opened_total", kCounter, "Sessions opened"},
    {"sessions_refused_total", kCounter, "Sessions refused, by reason", "reason=draining|failed|file_pace|headroom|invalid|limit|memory|not_found|rate"},
    {"slowest_session_ratio", kGauge, "Of the live session with fewest: frames ready in time to frames due, over 5 s"},
    {"sound_rate_warnings_total", kCounter, "Sessions whose sound came steadily at another rate than its format says"},
    {"stage_seconds", kHistogram, "Time of one call, by stage from audio to encoded frame", kStages},
    {"target_frames_per_second", kGauge, "Frames a second that the rates of all live sessions ask for, over 5 s"},
    {"threads", kGauge, "Threads of the process"},
    {"workers", kGauge, "Threads that draw"},
};
// clang-format on

// 0.04 is a frame at 25 fps; 0.15 and 0.5 are where the alerts stand.
constexpr std::array kSecondsBounds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1,
                                       0.15,   0.25,  0.5,    1.0,   2.5,  5.0,  10.0, 30.0};
constexpr std::array kBytesBounds = {1024.0,     16384.0,     262144.0,    1048576.0,
                                     16777216.0, 268435456.0, 4294967296.0};
constexpr std::array kCountBounds = {1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0, 10000.0};

std::span<const double> BoundsOf(std::string_view name) {
  if (name.ends_with("_seconds")) return kSecondsBounds;
  if (name.ends_with("_bytes")) return kBytesBounds;
  return kCountBounds;
}

const KnownMetric* Known(std::string_view name) {
  const auto found = std::ranges::find(kKnown, name, &KnownMetric::name);
  return found == std::end(kKnown) ? nullptr : found;
}

/// Takes a name off the front of `text`; empty if it has none.
std::string_view TakeName(std::string_view* text) {
  size_t size = 0;
  for (const char c : *text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (size == 0 || c < '0' || c > '9')) break;
    ++size;
  }
  const std::string_view name = text->substr(0, size);
  text->remove_prefix(size);
  return name;
}

bool TakeText(std::string_view* text, std::string_view wanted) {
  if (!text->starts_with(wanted)) return false;
  text->remove_prefix(wanted.size());
  return true;
}

/// Takes a value up to its closing quote, its escapes as they are.
std::optional<std::string> TakeValue(std::string_view* text) {
  for (size_t i = 0; i < text->size(); ++i) {
    const char c = (*text)[i];
    if (c == '"') {
      std::string value(text->substr(0, i));
      text->remove_prefix(i + 1);
      return avatar::IsUtf8(value) ? std::optional(value) : std::nullopt;
    }
    if (c == '\n') return std::nullopt;
    if (c == '\\' && (++i == text->size() ||
                      std::string_view("\\\"n").find((*text)[i]) == std::string_view::npos)) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

/// `name{b="2",a="1"}` -> ("name", `a="1",b="2"`); nullopt if that is no series.
std::optional<std::pair<std::string, std::string>> ParseSeries(std::string_view text) {
  const std::string name(TakeName(&text));
  if (name.empty()) return std::nullopt;
  std::map<std::string, std::string> labels;
  if (TakeText(&text, "{")) {
    do {
      const std::string key(TakeName(&text));
      if (key.empty() || key.starts_with("__") || key == "le" || !TakeText(&text, "=\"")) {
        return std::nullopt;
      }
      auto value = TakeValue(&text);
      if (!value || !labels.emplace(key, *std::move(value)).second) return std::nullopt;
    } while (TakeText(&text, ","));
    if (!TakeText(&text, "}")) return std::nullopt;
  }
  if (!text.empty()) return std::nullopt;
  std::string joined;
  for (const auto& [key, value] : labels) {
    joined += fmt::format("{}{}=\"{}\"", joined.empty() ? "" : ",", key, value);
  }
  return std::pair(name, joined);
}

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

template <typename Value>
void AppendSample(std::string* out, std::string_view name, std::string_view suffix,
                  std::string_view labels, std::string_view more_labels, const Value& value) {
  const std::string_view comma = labels.empty() || more_labels.empty() ? "" : ",";
  const bool braces = !labels.empty() || !more_labels.empty();
  fmt::format_to(std::back_inserter(*out), "lipcast_{}{}{}{}{}{}{} {}\n", name, suffix,
                 braces ? "{" : "", labels, comma, more_labels, braces ? "}" : "", value);
}

}  // namespace

std::string_view MetricKindName(MetricKind kind) {
  switch (kind) {
    case kCounter:
      return "counter";
    case kGauge:
      return "gauge";
    case kHistogram:
      return "histogram";
  }
  return "untyped";
}

std::span<const KnownMetric> KnownMetrics() { return kKnown; }

std::string Labelled(std::string_view name,
                     std::initializer_list<std::pair<std::string_view, std::string_view>> labels) {
  std::string out(name);
  char before = '{';
  for (const auto& [key, value] : labels) {
    out += before;
    out += key;
    out += "=\"";
    for (const char c : value) {
      if (c == '\\' || c == '"' || c == '\n') out += '\\';
      out += c == '\n' ? 'n' : c;
    }
    out += '"';
    before = ',';
  }
  if (before == ',') out += '}';
  return out;
}

PrometheusMetrics::Series* PrometheusMetrics::Find(std::string_view text, MetricKind kind) {
  Series* series = nullptr;
  {
    std::shared_lock lock(mu_);
    const auto found = by_text_.find(text);
    if (found != by_text_.end()) series = found->second;
  }
  if (series == nullptr) series = Add(text, kind);
  if (series != nullptr && series->kind == kind) return series;
  refused_.fetch_add(1, std::memory_order_relaxed);
  return nullptr;
}

PrometheusMetrics::Series* PrometheusMetrics::Add(std::string_view text, MetricKind kind) {
  auto key = ParseSeries(text);
  if (!key || key->first == kRefused) return nullptr;
  const KnownMetric* known = Known(key->first);
  std::lock_guard lock(mu_);
  if (const auto found = by_text_.find(text); found != by_text_.end()) return found->second;
  if (by_text_.size() >= max_series_) return nullptr;
  const auto [family, first_use] =
      kinds_.try_emplace(key->first, known == nullptr ? kind : known->kind);
  if (family->second != kind) return nullptr;
  const auto [place, is_new] = series_.try_emplace(*std::move(key));
  Series& series = place->second;
  if (is_new) series.kind = kind;
  if (is_new && kind == kHistogram) {
    series.bounds = BoundsOf(place->first.first);
    series.buckets = std::make_unique<std::atomic<int64_t>[]>(series.bounds.size() + 1);
  }
  by_text_.emplace(text, &series);
  return &series;
}

void PrometheusMetrics::Announce() {
  for (const KnownMetric& known : kKnown) {
    if (known.kind == kGauge || known.open || known.name == kRefused) continue;
    if (known.labels.empty()) {
      Find(known.name, known.kind);
      continue;
    }
    const size_t equals = known.labels.find('=');
    const std::string_view label = known.labels.substr(0, equals);
    std::string_view values = known.labels.substr(equals + 1);
    while (!values.empty()) {
      const std::string_view value = values.substr(0, values.find('|'));
      Find(Labelled(known.name, {{label, value}}), known.kind);
      values.remove_prefix(std::min(values.size(), value.size() + 1));
    }
  }
}

void PrometheusMetrics::Count(std::string_view name, int64_t by) {
  Series* series = Find(name, kCounter);
  if (series == nullptr) return;
  (by < 0 ? refused_ : series->count).fetch_add(by < 0 ? 1 : by, std::memory_order_relaxed);
}

void PrometheusMetrics::Gauge(std::string_view name, double value) {
  Series* series = Find(name, kGauge);
  if (series != nullptr) series->value.store(value, std::memory_order_relaxed);
}

void PrometheusMetrics::Observe(std::string_view name, double value) {
  Series* series = Find(name, kHistogram);
  if (series == nullptr) return;
  if (!std::isfinite(value)) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const auto bucket = std::ranges::lower_bound(series->bounds, value) - series->bounds.begin();
  series->buckets[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  series->value.fetch_add(value, std::memory_order_relaxed);
}

std::string PrometheusMetrics::Render() const {
  std::string out;
  std::string_view family;
  const auto begin_family = [&](std::string_view name, MetricKind kind) {
    if (name == family) return;
    family = name;
    if (const KnownMetric* known = Known(name)) {
      fmt::format_to(std::back_inserter(out), "# HELP lipcast_{} {}\n", name, known->help);
    }
    fmt::format_to(std::back_inserter(out), "# TYPE lipcast_{} {}\n", name, MetricKindName(kind));
  };
  std::shared_lock lock(mu_);
  for (const auto& [key, series] : series_) {
    const auto& [name, labels] = key;
    begin_family(name, series.kind);
    if (series.kind == kCounter) {
      AppendSample(&out, name, "", labels, "", series.count.load(std::memory_order_relaxed));
    } else if (series.kind == kGauge) {
      AppendSample(&out, name, "", labels, "",
                   Number(series.value.load(std::memory_order_relaxed)));
    } else {
      int64_t below = 0;
      for (size_t i = 0; i <= series.bounds.size(); ++i) {
        below += series.buckets[i].load(std::memory_order_relaxed);
        const std::string bound = i < series.bounds.size() ? Number(series.bounds[i]) : "+Inf";
        AppendSample(&out, name, "_bucket", labels, "le=\"" + bound + "\"", below);
      }
      AppendSample(&out, name, "_sum", labels, "",
                   Number(series.value.load(std::memory_order_relaxed)));
      AppendSample(&out, name, "_count", labels, "", below);
    }
  }
  begin_family(kRefused, kCounter);
  AppendSample(&out, kRefused, "", "", "", refused_.load(std::memory_order_relaxed));
  return out;
}

}  // namespace lipcast::server
