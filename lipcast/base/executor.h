#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "lipcast/base/clock.h"
#include "lipcast/base/status.h"

namespace lipcast {

/// What step() returns; what it throws becomes a Status: kResourceExhausted when memory ran out,
/// kInternal otherwise. A task that somebody waits for works in here, so the wait ends with a
/// reason.
template <typename Step>
auto Contain(Step&& step) -> decltype(step()) {
  try {
    return step();
  } catch (const std::bad_alloc&) {
    return Status(Code::kResourceExhausted, "out of memory");  // short enough to need none
  } catch (const std::exception& error) {
    return Status(Code::kInternal, std::string("internal: a task threw: ") + error.what());
  }
}

/// Added to the deadlines of work that goes behind all that has none of it, e.g. of renders behind
/// live streams.
inline constexpr std::chrono::hours kBehindOthers{24 * 365};

/// A fixed set of worker threads, started once. Tasks run earliest deadline first, equal deadlines
/// in the order they came. A task gets the index of its worker (0..workers-1), so that scratch
/// memory can be kept per worker instead of per task. Tasks must not wait. What
/// they throw is told to on_escape and the worker goes on (without one it ends the program), but
/// the rest of such a task is lost: see Contain. Thread: Post from any thread. The destructor runs
/// every task that was posted, then joins.
class Executor {
 public:
  using Task = std::function<void(int worker)>;
  /// Hears, on the worker's thread, what() of an exception that a task let out. Must not throw.
  using OnEscape = std::function<void(const char* what)>;

  explicit Executor(int workers, OnEscape on_escape = nullptr);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  int workers() const { return static_cast<int>(threads_.size()); }
  void Post(TimePoint deadline, Task task);

  /// Runs body(0) .. body(count - 1), the caller helping, and returns when all are done.
  /// Which thread runs an index is not defined; every index runs exactly once. No body may throw.
  void ParallelFor(int count, const std::function<void(int index)>& body);

  /// Tasks posted and not yet started.
  size_t queued() const;

 private:
  struct Entry {
    TimePoint deadline;
    uint64_t order;
    Task task;
    bool operator<(const Entry& other) const {  // std::push_heap keeps the largest on top
      return deadline != other.deadline ? deadline > other.deadline : order > other.order;
    }
  };
  void Run(int worker);

  const OnEscape on_escape_;
  mutable std::mutex mu_;
  std::condition_variable filled_;
  std::vector<Entry> heap_;  // guarded by mu_
  uint64_t next_order_ = 0;  // guarded by mu_
  bool stopping_ = false;    // guarded by mu_
  std::vector<std::thread> threads_;
};

/// Tasks of one session: run in the order posted, one at a time, on whichever worker is free. One
/// that throws is the executor's to tell; the next follows it.
/// Thread: Post from any thread. Keep it alive by shared_ptr: queued tasks hold a reference.
class Strand : public std::enable_shared_from_this<Strand> {
 public:
  static std::shared_ptr<Strand> Create(Executor& executor) {
    return std::shared_ptr<Strand>(new Strand(executor));
  }
  void Post(TimePoint deadline, Executor::Task task);

 private:
  explicit Strand(Executor& executor) : executor_(executor) {}
  void RunOne(int worker);
  void Continue();

  struct Item {
    TimePoint deadline;
    Executor::Task task;
  };
  Executor& executor_;
  std::mutex mu_;
  std::deque<Item> items_;  // guarded by mu_
  bool running_ = false;    // guarded by mu_
};

}  // namespace lipcast
