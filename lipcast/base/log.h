#pragma once

#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lipcast {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
std::string_view LogLevelName(LogLevel level);  ///< "debug", "info", "warning", "error"

/// One key=value of a log line.
struct LogField {
  std::string_view key;
  std::string value;
};

/// Where events go. main() builds one and hands it down; the library itself never prints.
/// Thread: Log may be called from any thread and must not block for long.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Log(LogLevel level, std::string_view event, std::span<const LogField> fields) = 0;

  void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    Log(level, event, std::span<const LogField>(fields.begin(), fields.size()));
  }
};

/// Swallows everything: for callers who want no log. A null sink is never passed around.
class NullLogSink final : public LogSink {
 public:
  using LogSink::Log;
  void Log(LogLevel, std::string_view, std::span<const LogField>) override {}
};

/// `event key=value key="two words"`, one line without its end. Control characters are escaped, so
/// no value can start a line of its own.
std::string FormatLogLine(LogLevel level, std::string_view event, std::span<const LogField> fields);

/// Keeps lines in memory; for tests and for `doctor`.
class MemoryLogSink final : public LogSink {
 public:
  using LogSink::Log;
  void Log(LogLevel level, std::string_view event, std::span<const LogField> fields) override {
    std::lock_guard lock(mu_);
    lines_.push_back(FormatLogLine(level, event, fields));
  }
  std::vector<std::string> lines() const {
    std::lock_guard lock(mu_);
    return lines_;
  }

 private:
  mutable std::mutex mu_;
  std::vector<std::string> lines_;  // guarded by mu_
};

}  // namespace lipcast
