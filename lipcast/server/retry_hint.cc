#include "lipcast/server/retry_hint.h"

#include <algorithm>

#include "lipcast/server/refusal.h"

namespace lipcast::server {

std::optional<std::chrono::seconds> RetryAfter(const Status& status) {
  using namespace refusal;
  const auto passing = {kDisk, kDraining, kFilePace, kHeadroom, kLimit, kMemory, kQueue, kRate};
  if (std::ranges::find(passing, status.reason()) == passing.end()) return std::nullopt;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  return std::chrono::seconds(1 + us % 5);
}

}  // namespace lipcast::server
