#include "lipcast/server/rate_limiter.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace lipcast::server {

double RateLimiter::LeftNow(const Bucket& bucket) const {
  const std::chrono::duration<double> since = clock_.Now() - bucket.filled;
  return std::min(burst_, bucket.left + since.count() * per_second_);
}

bool RateLimiter::Take(std::string_view key) {
  const std::lock_guard lock(mu_);
  if (per_second_ <= 0) return true;
  auto found = buckets_.find(std::string(key));
  if (found == buckets_.end()) {
    if (buckets_.size() >= max_keys_) {
      buckets_.erase(order_.back());
      order_.pop_back();
    }
    order_.emplace_front(key);
    found = buckets_.emplace(order_.front(), Bucket{burst_, clock_.Now(), order_.begin()}).first;
  } else {
    order_.splice(order_.begin(), order_, found->second.place);
  }
  Bucket& bucket = found->second;
  bucket.left = LeftNow(bucket);
  bucket.filled = clock_.Now();
  if (bucket.left < 1) return false;
  bucket.left -= 1;
  return true;
}

bool RateLimiter::Allows(std::string_view key) const {
  const std::lock_guard lock(mu_);
  const auto found = buckets_.find(std::string(key));
  return per_second_ <= 0 || found == buckets_.end() || LeftNow(found->second) >= 1;
}

void RateLimiter::Set(double per_second, double burst) {
  const std::lock_guard lock(mu_);
  per_second_ = per_second;
  burst_ = burst;
}

size_t RateLimiter::keys() const {
  const std::lock_guard lock(mu_);
  return buckets_.size();
}

std::string RateKeyOf(std::string_view address) {
  in6_addr six{};
  const std::string text(address);
  if (::inet_pton(AF_INET6, text.c_str(), &six) != 1) return text;
  if (IN6_IS_ADDR_V4MAPPED(&six)) {
    char four[INET_ADDRSTRLEN] = {};
    ::inet_ntop(AF_INET, &six.s6_addr[12], four, sizeof four);
    return four;
  }
  std::memset(&six.s6_addr[8], 0, 8);
  char network[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(AF_INET6, &six, network, sizeof network);
  return network;
}

}  // namespace lipcast::server
