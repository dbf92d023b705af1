#include "lipcast/server/work_meter.h"

#include <algorithm>
#include <cmath>

namespace lipcast::server {
namespace {

/// A window with fewer drawn frames tells more of those dropped than of their cost.
constexpr int kMinDrawn = 3;

}  // namespace

WorkMeter::WorkMeter(double fps)
    : fps_(fps), window_(std::max(kMinDrawn, static_cast<int>(std::ceil(fps)))) {}

std::optional<double> WorkMeter::OnFrame(bool speaking, bool drawn, Nanoseconds work_so_far) {
  if (!speaking) {
    Restart();
    return std::nullopt;
  }
  if (frames_++ == 0) {
    began_ = work_so_far;  // what this frame cost is in there
    drawn_ = 0;
    return std::nullopt;
  }
  if (drawn) ++drawn_;
  if (frames_ <= window_) return std::nullopt;
  const double seconds = std::chrono::duration<double>(work_so_far - began_).count();
  const int count = drawn_;
  frames_ = 1;
  began_ = work_so_far;
  drawn_ = 0;
  if (count < kMinDrawn) return std::nullopt;
  return seconds / count * fps_;
}

}  // namespace lipcast::server
