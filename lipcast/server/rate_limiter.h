#pragma once

#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "lipcast/base/clock.h"

namespace lipcast::server {

/// So many events a second for each key, and as many more at once as `burst` says. Remembers at
/// most `max_keys`; beyond, the one that was not heard of for the longest time starts anew.
/// Thread: any.
class RateLimiter {
 public:
  /// per_second 0: no limit.
  RateLimiter(double per_second, double burst, const Clock& clock, size_t max_keys = 4096)
      : clock_(clock), max_keys_(max_keys), per_second_(per_second), burst_(burst) {}

  /// False: too many of them. Then nothing is counted.
  bool Take(std::string_view key);
  /// Whether Take would say yes.
  bool Allows(std::string_view key) const;
  void Set(double per_second, double burst);  ///< from now on
  size_t keys() const;

 private:
  struct Bucket {
    double left;
    TimePoint filled;
    std::list<std::string>::iterator place;
  };
  double LeftNow(const Bucket& bucket) const;  // mu_ is held

  const Clock& clock_;
  const size_t max_keys_;
  mutable std::mutex mu_;
  double per_second_, burst_;                        // guarded by mu_
  std::list<std::string> order_;                     // guarded by mu_: the last heard of in front
  std::unordered_map<std::string, Bucket> buckets_;  // guarded by mu_
};

/// What a client's address counts as: all of an IPv4 address, the network (/64) of an IPv6 one.
std::string RateKeyOf(std::string_view address);

}  // namespace lipcast::server
