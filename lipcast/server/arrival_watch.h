#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "lipcast/base/clock.h"

namespace lipcast::server {

/// Tells a client that states a wrong rate or number of channels from one that sends faster than
/// real time: the first keeps to its own clock, piece by piece, at a constant multiple of what it
/// declared. A speech program that sends what it has, with pauses, does not.
/// Thread: one.
class ArrivalWatch {
 public:
  explicit ArrivalWatch(double bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  /// A piece of sound came. Once, after seconds of steady arrival: how many times faster than
  /// declared, where that is at least 1.3 or at most 0.75.
  std::optional<double> Heard(TimePoint now, size_t bytes);

 private:
  static constexpr int kWindows = 8;  // of a second

  const double bytes_per_second_;
  std::array<double, kWindows> ratios_{};
  int windows_ = 0, pieces_ = 0;
  double bytes_ = 0;  // since the window began, its first piece left out
  TimePoint begin_{}, last_{};
  bool told_ = false;
};

}  // namespace lipcast::server
