#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace lipcast {

/// The steps of one frame, in data order. Their names are the keys of every report.
enum class Stage {
  kDecode,
  kResample,
  kStft,
  kFilterbank,
  kLog,
  kNormalise,
  kWindows,
  kAudioEncoder,
  kBackground,  ///< the avatar's frame: from its store (decoded if need be) to the output
  kGenerator,
  kPack,
  kUnpack,
  kResize,
  kPaste,
  kEncode,
  kMux,
};
inline constexpr int kStageCount = static_cast<int>(Stage::kMux) + 1;

std::string_view StageName(Stage stage);  ///< "decode", ..., "mux"

/// What a module counts, kept behind an interface so that the exporter (Prometheus, JSON, a test)
/// is main's choice. Names carry their unit: "frames_total", "frame_time_seconds".
/// Thread: any; must not block.
class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual void Count(std::string_view name, int64_t by) = 0;
  virtual void Gauge(std::string_view name, double value) = 0;
  virtual void Observe(std::string_view name, double value) = 0;
};

class NullMetrics final : public Metrics {
 public:
  void Count(std::string_view, int64_t) override {}
  void Gauge(std::string_view, double) override {}
  void Observe(std::string_view, double) override {}
};

/// Time spent in each stage and how often, summed over all threads; each call is also observed by
/// `metrics` (null: not), as stage_seconds{stage="..."}. Thread: any; never blocks for long.
class StageTimes {
 public:
  explicit StageTimes(Metrics* metrics = nullptr) : metrics_(metrics) {}

  void Add(Stage stage, std::chrono::nanoseconds time) {
    nanoseconds_[static_cast<int>(stage)].fetch_add(time.count(), std::memory_order_relaxed);
    calls_[static_cast<int>(stage)].fetch_add(1, std::memory_order_relaxed);
    if (metrics_ != nullptr) Observe(stage, time);
  }
  std::chrono::nanoseconds total(Stage stage) const {
    return std::chrono::nanoseconds(
        nanoseconds_[static_cast<int>(stage)].load(std::memory_order_relaxed));
  }
  int64_t calls(Stage stage) const {
    return calls_[static_cast<int>(stage)].load(std::memory_order_relaxed);
  }

 private:
  void Observe(Stage stage, std::chrono::nanoseconds time);

  Metrics* const metrics_;
  std::array<std::atomic<int64_t>, kStageCount> nanoseconds_{};
  std::array<std::atomic<int64_t>, kStageCount> calls_{};
};

/// Adds the life time of this object to one stage.
class StageTimer {
 public:
  StageTimer(StageTimes& times, Stage stage)
      : times_(times), stage_(stage), start_(std::chrono::steady_clock::now()) {}
  ~StageTimer() { times_.Add(stage_, std::chrono::steady_clock::now() - start_); }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  StageTimes& times_;
  const Stage stage_;
  const std::chrono::steady_clock::time_point start_;
};

}  // namespace lipcast
