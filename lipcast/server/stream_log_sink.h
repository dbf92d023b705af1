#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "lipcast/base/log.h"
#include "lipcast/server/line_writer.h"

namespace lipcast::server {

struct StreamLogOptions {
  LogLevel least = LogLevel::kInfo;
  bool json = false;
  std::chrono::milliseconds flush{0};  ///< how long lines are gathered; warnings never wait
  int debug_sample = 1;                ///< of each kind of debug line, every how manieth
  size_t pending_bytes = 1 << 20;      ///< held while the reader is slow; what is above is dropped
  std::chrono::milliseconds close{1000};  ///< how long the end waits for a reader that is stuck
  std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;
};

/// Log lines to a file descriptor (stderr, a file, a pipe), as text
///   2026-11-25T15:00:00.123Z info avatar_loaded avatar=anna ms=812
/// or as one JSON object a line, all values strings:
///   {"time":"2026-11-25T15:00:00.123Z","level":"info","event":"avatar_loaded","avatar":"anna"}
/// A field that is called time, level or event becomes field_time and so on; broken UTF-8 becomes
/// U+FFFD in JSON.
/// Thread: any. Log formats and queues, a LineWriter writes; its destructor writes what is left.
///         Lines that found no room are counted and, once there is room, named in one line
///         (log_lines_dropped).
/// Owner:  the descriptor stays the caller's and must be open until this object is gone.
class StreamLogSink final : public LogSink {
 public:
  using LogSink::Log;
  explicit StreamLogSink(int fd, StreamLogOptions options = {});

  void Log(LogLevel level, std::string_view event, std::span<const LogField> fields) override;
  void set_least(LogLevel least) { least_.store(least, std::memory_order_relaxed); }
  int64_t dropped() const { return writer_.dropped(); }

 private:
  bool Wanted(LogLevel level, std::string_view event);
  std::string Line(LogLevel level, std::string_view event, std::span<const LogField> fields) const;

  const StreamLogOptions options_;
  std::atomic<LogLevel> least_;
  std::array<std::atomic<uint32_t>, 256> debug_lines_{};  // by hash of the event
  LineWriter writer_;                                     // last: its thread uses what is above
};

}  // namespace lipcast::server
