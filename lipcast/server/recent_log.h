#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lipcast/base/log.h"

namespace lipcast::server {

/// Passes every line on, and keeps the latest warnings and errors for those who look at the server.
/// Memory: at most kKept lines, each with values of at most kValueBytes.
/// Thread: any.
class RecentLog final : public LogSink {
 public:
  using LogSink::Log;
  static constexpr size_t kKept = 50;
  static constexpr size_t kValueBytes = 300;  ///< of a longer value: as much, and an ellipsis

  struct Field {
    std::string key, value;
  };
  struct Line {
    std::chrono::system_clock::time_point time;
    LogLevel level = LogLevel::kWarning;
    std::string event;
    std::vector<Field> fields;
  };

  /// `next` outlives this.
  explicit RecentLog(LogSink& next, std::function<std::chrono::system_clock::time_point()> now =
                                        std::chrono::system_clock::now)
      : next_(next), now_(std::move(now)) {}

  void Log(LogLevel level, std::string_view event, std::span<const LogField> fields) override;
  std::vector<Line> Lines() const;  ///< the latest first

 private:
  LogSink& next_;
  const std::function<std::chrono::system_clock::time_point()> now_;
  mutable std::mutex mu_;
  std::deque<Line> lines_;  // guarded by mu_; the latest first
};

}  // namespace lipcast::server
