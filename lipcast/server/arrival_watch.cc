#include "lipcast/server/arrival_watch.h"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace lipcast::server {
namespace {

constexpr auto kWindow = std::chrono::seconds(1);
/// A longer pause, or fewer pieces a window, and it is no clock that sends.
constexpr auto kMaxPause = std::chrono::milliseconds(250);
constexpr int kMinPieces = 5;
/// How far the windows may lie from their mean: a piece may fall on either side of an edge.
constexpr double kUneven = 0.06;
constexpr double kTooFast = 1.3, kTooSlow = 0.75;

}  // namespace

std::optional<double> ArrivalWatch::Heard(TimePoint now, size_t bytes) {
  if (told_) return {};
  if (pieces_ == 0 || now - last_ > kMaxPause) {
    windows_ = 0;
    pieces_ = 1;
    bytes_ = 0;
    begin_ = last_ = now;
    return {};
  }
  last_ = now;
  ++pieces_;
  bytes_ += static_cast<double>(bytes);
  const std::chrono::duration<double> passed = now - begin_;
  if (passed < kWindow) return {};
  const double ratio = bytes_ / (passed.count() * bytes_per_second_);
  const bool paced = pieces_ >= kMinPieces;
  begin_ = now;
  pieces_ = 1;
  bytes_ = 0;
  if (!paced) {
    windows_ = 0;
    return {};
  }
  ratios_[static_cast<size_t>(windows_ % kWindows)] = ratio;
  if (++windows_ < kWindows) return {};
  const double mean = std::accumulate(ratios_.begin(), ratios_.end(), 0.0) / kWindows;
  const bool even = std::all_of(ratios_.begin(), ratios_.end(), [&](double one) {
    return one > mean * (1 - kUneven) && one < mean * (1 + kUneven);
  });
  if (!even || (mean < kTooFast && mean > kTooSlow)) return {};
  told_ = true;
  return mean;
}

}  // namespace lipcast::server
