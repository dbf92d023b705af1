#include "lipcast/server/event_loop.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace lipcast::server {

EventLoop::~EventLoop() {
  {
    const std::lock_guard lock(mu_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void EventLoop::At(TimePoint when, Task task) {
  {
    const std::lock_guard lock(mu_);
    heap_.push_back({when, next_order_++, std::move(task)});
    std::push_heap(heap_.begin(), heap_.end());
  }
  changed_.notify_one();
}

void EventLoop::Run() {
  std::unique_lock lock(mu_);
  while (true) {
    const bool posted = !heap_.empty() && heap_.front().when == TimePoint::min();
    if (stopping_ && !posted) return;
    if (heap_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const TimePoint when = heap_.front().when;
    if (!posted && when > std::chrono::steady_clock::now()) {
      changed_.wait_until(lock, when);
      continue;
    }
    std::pop_heap(heap_.begin(), heap_.end());
    Task task = std::move(heap_.back().task);
    heap_.pop_back();
    lock.unlock();
    try {
      task();
    } catch (const std::exception& error) {
      if (on_escape_ == nullptr) throw;
      on_escape_(error.what());
    }
    task = nullptr;  // what it holds ends outside of the lock
    lock.lock();
  }
}

}  // namespace lipcast::server
