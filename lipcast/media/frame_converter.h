#pragma once

#include <string>

#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"
#include "lipcast/media/libav.h"
#include "lipcast/media/upright.h"

namespace lipcast::media {

/// Decoded frames of one video to upright Pictures: kI420 BT.709 limited, or kBgra32 with alpha.
class FrameConverter {
 public:
  /// `first`: a decoded frame, whose size and pixel format all others must have.
  static Result<FrameConverter> Create(const AVFrame& first, const Orientation& orientation);

  PixelFormat format() const { return format_; }
  int width() const { return orientation_.transpose ? height_ : width_; }
  int height() const { return orientation_.transpose ? width_ : height_; }
  /// "colours are not tagged: BT.601 assumed"; empty when they are.
  const std::string& note() const { return note_; }
  Result<Picture> Convert(const AVFrame& frame);

 private:
  FrameConverter() = default;
  Status OpenScaler(const AVFrame& first, int matrix, bool full_range);

  PixelFormat format_ = PixelFormat::kI420;
  int width_ = 0, height_ = 0, source_format_ = 0;
  Orientation orientation_;
  std::string note_;
  SwsPtr scaler_;  // null: the planes are right as they are
};

}  // namespace lipcast::media
