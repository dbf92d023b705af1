#include "lipcast/base/executor.h"

#include <algorithm>

namespace lipcast {

Executor::Executor(int workers, OnEscape on_escape) : on_escape_(std::move(on_escape)) {
  threads_.reserve(static_cast<size_t>(std::max(1, workers)));
  for (int i = 0; i < std::max(1, workers); ++i) {
    threads_.emplace_back([this, i] { Run(i); });
  }
}

Executor::~Executor() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
  }
  filled_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Executor::Post(TimePoint deadline, Task task) {
  {
    std::lock_guard lock(mu_);
    heap_.push_back({deadline, next_order_++, std::move(task)});
    std::push_heap(heap_.begin(), heap_.end());
  }
  filled_.notify_one();
}

size_t Executor::queued() const {
  std::lock_guard lock(mu_);
  return heap_.size();
}

void Executor::Run(int worker) {
  std::unique_lock lock(mu_);
  while (true) {
    filled_.wait(lock, [&] { return stopping_ || !heap_.empty(); });
    if (heap_.empty()) return;
    std::pop_heap(heap_.begin(), heap_.end());
    Task task = std::move(heap_.back().task);
    heap_.pop_back();
    lock.unlock();
    try {
      task(worker);
    } catch (const std::exception& error) {
      if (on_escape_ == nullptr) throw;
      on_escape_(error.what());
    }
    task = nullptr;  // what the task owns is released outside the lock
    lock.lock();
  }
}

void Executor::ParallelFor(int count, const std::function<void(int)>& body) {
  struct Shared {
    std::atomic<int> next{0};
    std::mutex mu;
    std::condition_variable done;
    int finished = 0;  // guarded by mu
  };
  if (count <= 0) return;
  auto shared = std::make_shared<Shared>();
  // A helper that starts after the last index was taken touches only `shared`, never `body`.
  auto help = [shared, count, &body](int) {
    int ran = 0;
    for (int i = shared->next.fetch_add(1); i < count; i = shared->next.fetch_add(1)) {
      body(i);
      ++ran;
    }
    if (ran == 0) return;
    std::lock_guard lock(shared->mu);
    shared->finished += ran;
    if (shared->finished == count) shared->done.notify_all();
  };
  const int helpers = std::min(workers(), count - 1);
  for (int i = 0; i < helpers; ++i) Post(TimePoint::min(), help);
  help(-1);
  std::unique_lock lock(shared->mu);
  shared->done.wait(lock, [&] { return shared->finished == count; });
}

void Strand::Post(TimePoint deadline, Executor::Task task) {
  {
    std::lock_guard lock(mu_);
    items_.push_back({deadline, std::move(task)});
    if (running_) return;
    running_ = true;
  }
  executor_.Post(deadline, [self = shared_from_this()](int worker) { self->RunOne(worker); });
}

void Strand::RunOne(int worker) {
  Item item;
  {
    std::lock_guard lock(mu_);
    item = std::move(items_.front());
    items_.pop_front();
  }
  try {
    item.task(worker);
  } catch (...) {  // the executor hears of it; what is behind it still gets its turn
    item.task = nullptr;
    Continue();
    throw;
  }
  item.task = nullptr;
  Continue();
}

void Strand::Continue() {
  TimePoint next;
  {
    std::lock_guard lock(mu_);
    if (items_.empty()) {
      running_ = false;
      return;
    }
    next = items_.front().deadline;
  }
  executor_.Post(next, [self = shared_from_this()](int w) { self->RunOne(w); });
}

}  // namespace lipcast
