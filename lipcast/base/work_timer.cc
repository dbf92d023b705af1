#include "lipcast/base/work_timer.h"

#include <ctime>

namespace lipcast {

Nanoseconds WorkTime(WorkClock clock) {
  if (clock == WorkClock::kWall) return std::chrono::steady_clock::now().time_since_epoch();
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + Nanoseconds(time.tv_nsec);
}

}  // namespace lipcast
