#pragma once

#include <optional>

#include "lipcast/base/clock.h"

namespace lipcast::server {

/// What a second of a stream's speech costs, from the work done for it so far as its frames leave.
/// Thread: one.
class WorkMeter {
 public:
  explicit WorkMeter(double fps);

  /// A frame left; `speaking`: its mouth is the model's, or it was due and not drawn.
  /// Seconds of work a second of speech took, when about a second of nothing else is full.
  /// Frames drawn before they are due shift the count by a few frames, which evens out.
  std::optional<double> OnFrame(bool speaking, bool drawn, Nanoseconds work_so_far);

  /// What was counted so far is not what speech costs.
  void Restart() { frames_ = 0; }

 private:
  const double fps_;
  const int window_;
  int frames_ = 0, drawn_ = 0;
  Nanoseconds began_{0};
};

}  // namespace lipcast::server
