#include "lipcast/media/video_timeline.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace lipcast::media {
namespace {

constexpr int64_t kMaxFrames = 10'000'000;
constexpr double kMaxRate = 120;
constexpr std::array<Rational, 10> kUsualRates = {{{24000, 1001},
                                                   {24, 1},
                                                   {25, 1},
                                                   {30000, 1001},
                                                   {30, 1},
                                                   {48, 1},
                                                   {50, 1},
                                                   {60000, 1001},
                                                   {60, 1},
                                                   {120, 1}}};
constexpr double kUsualTolerance = 0.01;
constexpr double kJitter = 0.1;  // 24 and 30/s, or 50 and 60/s, stay apart

Rational NearestRate(double rate) {
  const Rational* best = nullptr;
  for (const Rational& usual : kUsualRates) {
    const double distance = std::abs(usual.value() / rate - 1);
    if (distance > kUsualTolerance) continue;
    if (!best || distance < std::abs(best->value() / rate - 1)) best = &usual;
  }
  if (best) return *best;
  const int64_t thousandths = std::llround(std::clamp(rate, 1.0, kMaxRate) * 1000);
  const int64_t divisor = std::gcd(thousandths, int64_t{1000});
  return {thousandths / divisor, 1000 / divisor};
}

/// The mean of the intervals that differ from the median by no more than rounding and jitter do:
/// in milliseconds 60/s is 17, 17, 16, whose median alone is 58.8/s.
double MeanNear(const std::vector<double>& intervals, double median_s, double tick_s) {
  const double slack_s = std::max(1.5 * tick_s, kJitter * median_s);
  double sum_s = 0;
  int64_t count = 0;
  for (const double interval_s : intervals) {
    if (std::abs(interval_s - median_s) > slack_s) continue;
    sum_s += interval_s;
    ++count;
  }
  return sum_s / static_cast<double>(count);
}

}  // namespace

int64_t VideoTimeline::FrameShowing(int64_t s) const {
  if (stored.empty()) return s;
  return std::min<int64_t>(std::lower_bound(stored.begin(), stored.end(), s) - stored.begin(),
                           frames - 1);
}

Result<VideoTimeline> MakeTimeline(const std::vector<int64_t>& pts_ticks, int64_t time_base_num,
                                   int64_t time_base_den, Rational declared) {
  LC_ENSURE(!pts_ticks.empty());
  const double tick_s = static_cast<double>(time_base_num) / static_cast<double>(time_base_den);
  const auto seconds = [&](size_t i) {
    return static_cast<double>(pts_ticks[i] - pts_ticks[0]) * tick_s;
  };
  const auto count = static_cast<int64_t>(pts_ticks.size());
  VideoTimeline timeline;
  const bool usable = declared.num > 0 && declared.den > 0;
  bool constant = usable;
  for (size_t i = 0; constant && i < pts_ticks.size(); ++i) {
    constant = std::abs(seconds(i) * declared.value() - static_cast<double>(i)) < 0.5;
  }
  if (constant || (count == 1 && usable)) {
    timeline.fps = declared;
    timeline.frames = count;
    return timeline;
  }
  if (count == 1) {
    timeline.frames = 1;
    timeline.note = "one frame without a frame rate: taken as " + timeline.fps.ToString() + "/s";
    return timeline;
  }

  std::vector<double> intervals;
  for (size_t i = 1; i < pts_ticks.size(); ++i) intervals.push_back(seconds(i) - seconds(i - 1));
  const auto middle = intervals.begin() + static_cast<ptrdiff_t>(intervals.size() / 2);
  std::nth_element(intervals.begin(), middle, intervals.end());
  const double usual_s = std::max(MeanNear(intervals, *middle, tick_s), 1 / kMaxRate);
  timeline.fps = NearestRate(1 / usual_s);
  const double rate = timeline.fps.value();
  // The last frame is shown for one usual interval.
  const double frames = std::floor(seconds(pts_ticks.size() - 1) * rate + 0.5) + 1;
  if (!(frames <= static_cast<double>(kMaxFrames))) {
    return Status(Code::kInvalidArgument,
                  "video times span " + std::to_string(seconds(pts_ticks.size() - 1)) + " s at " +
                      timeline.fps.ToString() + "/s: want at most " + std::to_string(kMaxFrames) +
                      " frames");
  }
  timeline.frames = static_cast<int64_t>(frames);
  timeline.stored.reserve(static_cast<size_t>(timeline.frames));
  size_t shown = 0;
  for (int64_t i = 0; i < timeline.frames; ++i) {
    // Half a frame of slack: times rounded to milliseconds must not show the frame before.
    const double time_s = (static_cast<double>(i) + 0.5) / rate;
    while (shown + 1 < pts_ticks.size() && seconds(shown + 1) < time_s) ++shown;
    timeline.stored.push_back(static_cast<int64_t>(shown));
  }
  timeline.note = "variable frame rate (" + std::to_string(count) +
                  " frames): resampled by time to " + timeline.fps.ToString() + "/s, " +
                  std::to_string(timeline.frames) + " frames";
  return timeline;
}

}  // namespace lipcast::media
