#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace lipcast::cli {

/// Frames, rate and time left, on standard error: a bar that redraws itself on a terminal, a plain
/// line every few seconds elsewhere. Thread: one.
class Progress {
 public:
  /// `quiet` shows nothing.
  explicit Progress(bool quiet);
  void Update(int64_t frames, std::optional<int64_t> total);
  /// Wipes the bar, so that what follows stands on a clean line.
  void Clear();
  double seconds() const;

 private:
  const bool quiet_, terminal_;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
  bool drawn_ = false;
};

/// "1:02:03" or "2:03".
std::string ClockText(double seconds);
/// The bar's text, without colour or cursor control: "[####....] 120/500  61.2 fps  0:06 left".
std::string ProgressText(int64_t frames, std::optional<int64_t> total, double seconds);

}  // namespace lipcast::cli
