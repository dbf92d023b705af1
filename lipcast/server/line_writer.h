#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace lipcast::server {

struct LineWriterOptions {
  std::chrono::milliseconds flush{0};  ///< how long lines are gathered; urgent ones never wait
  size_t pending_bytes = 1 << 20;      ///< held while the reader is slow; what is above is dropped
  std::chrono::milliseconds close{1000};  ///< how long the end waits for a reader that is stuck
  /// The line that says how many were dropped, written once there is room; none: nothing says it.
  std::function<std::string(int64_t lines)> dropped_line;
};

/// Lines to a file descriptor. A thread of its own writes, so that a terminal that is stopped, a
/// pipe that nobody reads or a slow disk holds nobody up. A reader that is gone costs its lines and
/// nothing else, no SIGPIPE.
/// Thread: any.
/// Owner:  the descriptor stays the caller's and must be open until this object is gone.
class LineWriter {
 public:
  LineWriter(int fd, LineWriterOptions options);
  ~LineWriter();  ///< writes what is left
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  /// Whole lines with their ends. False: no room, they are dropped and counted as one.
  bool Write(std::string_view lines, bool urgent);
  int64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  void Run();
  std::string_view WriteSome(std::string_view text);

  const int fd_;
  const LineWriterOptions options_;
  std::atomic<int64_t> dropped_ = 0;

  std::mutex mu_;
  std::condition_variable changed_;
  std::string pending_;    // guarded by mu_
  int64_t unnamed_ = 0;    // guarded by mu_; dropped since a line last said so
  bool urgent_ = false;    // guarded by mu_
  bool stopping_ = false;  // guarded by mu_
  std::chrono::steady_clock::time_point give_up_{};  // guarded by mu_; once stopping
  std::thread thread_;
};

}  // namespace lipcast::server
