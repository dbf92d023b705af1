#include "lipcast/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace lipcast::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto kBarInterval = 100ms;
constexpr auto kLineInterval = 5s;
constexpr int kBarCells = 24;

}  // namespace

std::string ClockText(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string ProgressText(int64_t frames, std::optional<int64_t> total, double seconds) {
  const double fps = seconds > 0 ? static_cast<double>(frames) / seconds : 0;
  if (!total || *total <= 0) return fmt::format("{} frames  {:.1f} fps", frames, fps);
  const int filled =
      static_cast<int>(std::clamp<int64_t>(frames * kBarCells / *total, 0, kBarCells));
  const std::string left =
      fps > 0 ? ClockText(static_cast<double>(*total - frames) / fps) + " left" : "";
  return fmt::format("[{}{}] {}/{}  {:.1f} fps  {}", std::string(static_cast<size_t>(filled), '#'),
                     std::string(static_cast<size_t>(kBarCells - filled), '.'), frames, *total, fps,
                     left);
}

Progress::Progress(bool quiet)
    : quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()),
      shown_(start_) {}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::Update(int64_t frames, std::optional<int64_t> total) {
  if (quiet_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - shown_ < (terminal_ ? std::chrono::milliseconds(kBarInterval)
                                : std::chrono::milliseconds(kLineInterval))) {
    return;
  }
  shown_ = now;
  const std::string text = ProgressText(frames, total, seconds());
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    drawn_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

void Progress::Clear() {
  if (!drawn_) return;
  std::fprintf(stderr, "\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace lipcast::cli
