#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "lipcast/base/clock.h"

namespace lipcast::server {

/// One thread for what must not wait: streams are moved on here, while workers draw and encode.
/// Tasks run in the order posted, timers when due. A task must end within microseconds. What it
/// throws is told to on_escape and the loop goes on (without one it ends the program).
/// Thread: any. The destructor runs what was posted, drops the timers, joins.
class EventLoop {
 public:
  using Task = std::function<void()>;

  /// Hears, on the loop's thread, what() of an exception that a task let out. Must not throw.
  using OnEscape = std::function<void(const char* what)>;

  explicit EventLoop(OnEscape on_escape = nullptr)
      : on_escape_(std::move(on_escape)), thread_([this] { Run(); }) {}
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void Post(Task task) { At(TimePoint::min(), std::move(task)); }
  void At(TimePoint when, Task task);

 private:
  struct Entry {
    TimePoint when;
    uint64_t order;
    Task task;
    bool operator<(const Entry& other) const {  // std::push_heap keeps the largest on top
      return when != other.when ? when > other.when : order > other.order;
    }
  };
  void Run();

  const OnEscape on_escape_;
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<Entry> heap_;  // guarded by mu_
  uint64_t next_order_ = 0;  // guarded by mu_
  bool stopping_ = false;    // guarded by mu_
  std::thread thread_;       // last: it uses what stands above
};

}  // namespace lipcast::server
