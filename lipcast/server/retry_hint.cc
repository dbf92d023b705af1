#include "lipcast/server/retry_hint.h"

namespace lipcast::server {

std::optional<std::chrono::seconds> RetryAfter(const Status& status) {
  if (status.code() != Code::kResourceExhausted && status.code() != Code::kUnavailable) {
    return std::nullopt;
  }
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  return std::chrono::seconds(1 + us % 5);
}

}  // namespace lipcast::server
