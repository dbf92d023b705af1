#pragma once

#include <atomic>
#include <cstdint>

#include "lipcast/base/clock.h"

namespace lipcast {

/// Which time counts as work.
enum class WorkClock {
  kThreadCpu,  ///< of the calling thread: what other programs do meanwhile is not in it
  kWall,
};

Nanoseconds WorkTime(WorkClock clock);

/// Adds what its thread did between its making and Stop, or its end, to a total.
/// Thread: made and stopped on one; the total may be shared.
class WorkTimer {
 public:
  WorkTimer(std::atomic<int64_t>& total_ns, WorkClock clock)
      : total_ns_(&total_ns), clock_(clock), start_(WorkTime(clock)) {}
  ~WorkTimer() { Stop(); }
  WorkTimer(const WorkTimer&) = delete;
  WorkTimer& operator=(const WorkTimer&) = delete;
  /// Once; from then on the total is not touched.
  void Stop() {
    if (total_ns_ == nullptr) return;
    total_ns_->fetch_add((WorkTime(clock_) - start_).count(), std::memory_order_relaxed);
    total_ns_ = nullptr;
  }

 private:
  std::atomic<int64_t>* total_ns_;
  const WorkClock clock_;
  const Nanoseconds start_;
};

}  // namespace lipcast
