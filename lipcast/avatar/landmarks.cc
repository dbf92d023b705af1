#include "lipcast/avatar/landmarks.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <vector>

#include "lipcast/avatar/package_path.h"

namespace lipcast::avatar {
namespace {

struct Point {
  float x = 0, y = 0;
};

constexpr std::string_view kBlank = " \t\r";
constexpr float kMaxCoordinatePx = 1'000'000;

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// Reads one number off the front. A number too large or small for a float reads as NaN: no face.
bool TakeNumber(std::string_view& text, float* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  if (error == std::errc::result_out_of_range) {
    *value = std::nanf("");
  } else if (error != std::errc()) {
    return false;
  }
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool ParsePoint(std::string_view line, Point* point) {
  if (!TakeNumber(line, &point->x)) return false;
  if (line.empty() || kBlank.find(line.front()) == std::string_view::npos) return false;
  line = Trimmed(line);
  return TakeNumber(line, &point->y) && line.empty();
}

bool Usable(float value) { return std::isfinite(value) && std::fabs(value) <= kMaxCoordinatePx; }

}  // namespace

Result<std::optional<Rect>> BoxFromLandmarks(std::string_view lms_text) {
  constexpr size_t kLeft = 1, kRight = 31, kTop = 52;
  if (lms_text.size() > kMaxLandmarksBytes) {
    return Status(Code::kInvalidArgument, fmt::format("landmarks of {} bytes: want at most {}",
                                                      lms_text.size(), kMaxLandmarksBytes));
  }
  std::vector<Point> points;
  for (size_t line_number = 1; !lms_text.empty(); ++line_number) {
    const size_t end = lms_text.find('\n');
    const std::string_view line = Trimmed(lms_text.substr(0, end));
    lms_text.remove_prefix(end == std::string_view::npos ? lms_text.size() : end + 1);
    if (line.empty()) continue;
    Point point;
    if (!ParsePoint(line, &point)) {
      return Status(Code::kInvalidArgument, fmt::format("landmarks line {} = '{}': want 'x y'",
                                                        line_number, ShownText(line, 60)));
    }
    points.push_back(point);
  }
  if (points.size() <= kTop) return std::optional<Rect>();
  if (!Usable(points[kLeft].x) || !Usable(points[kTop].y) || !Usable(points[kRight].x)) {
    return std::optional<Rect>();
  }
  Rect box;
  box.x0 = static_cast<int>(points[kLeft].x);
  box.y0 = static_cast<int>(points[kTop].y);
  box.x1 = static_cast<int>(points[kRight].x);
  box.y1 = box.y0 + box.width();
  if (box.empty()) return std::optional<Rect>();
  return std::optional<Rect>(box);
}

}  // namespace lipcast::avatar
