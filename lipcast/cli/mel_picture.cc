#include "lipcast/cli/mel_picture.h"

#include <algorithm>
#include <cmath>

#include "lipcast/base/rational.h"

namespace lipcast::cli {
namespace {

constexpr int kPxPerBand = 4;
constexpr int kMinWidthPx = 640;

/// Dark blue over red to light yellow, even in brightness. What is no number is the floor.
void Colour(float level, uint8_t* bgr) {
  constexpr float kStops[5][3] = {
      {4, 12, 40}, {30, 40, 110}, {150, 50, 110}, {240, 130, 60}, {252, 245, 180}};
  const float at = std::min(4.0F, std::max(0.0F, (level + 4.0F) / 2.0F));
  const int low = std::min(3, static_cast<int>(at));
  const float part = at - static_cast<float>(low);
  for (int c = 0; c < 3; ++c) {
    const float value = kStops[low][c] + part * (kStops[low + 1][c] - kStops[low][c]);
    bgr[2 - c] = static_cast<uint8_t>(std::lround(value));
  }
}

}  // namespace

Result<Picture> DrawMel(std::span<const float> mel, int bands) {
  const auto frames = static_cast<int64_t>(mel.size()) / bands;
  if (frames == 0)
    return Status(Code::kInvalidArgument, "no mel frames to draw: the audio is empty");
  const auto stretch = static_cast<int>(std::clamp<int64_t>(kMinWidthPx / frames, 1, 16));
  const auto width = static_cast<int>(std::min<int64_t>(frames * stretch, kMaxSidePx));
  LC_ASSIGN_OR_RETURN(Picture picture,
                      Picture::Create(PixelFormat::kBgr24, width, bands * kPxPerBand));
  const MutablePictureView view = picture.mutable_view();
  for (int y = 0; y < view.height; ++y) {
    const int band = bands - 1 - y / kPxPerBand;
    for (int x = 0; x < width; ++x) {
      const int64_t frame = MulDivFloor(x, frames, width);
      Colour(mel[static_cast<size_t>(frame * bands + band)],
             view.plane[0] + y * view.stride[0] + 3 * x);
    }
  }
  return picture;
}

}  // namespace lipcast::cli
