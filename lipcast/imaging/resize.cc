#include "lipcast/imaging/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "lipcast/imaging/resize_simd.h"

namespace lipcast::imaging {
namespace {

constexpr size_t kAlignBytes = 64;

size_t RoundUp(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

size_t PaddedRowBytes(int src_w, int channels) {
  return RoundUp(
      static_cast<size_t>(src_w + 2 * internal::kCubicPadPx) * channels + internal::kRowSlackBytes,
      kAlignBytes);
}

size_t FilteredRowValues(int dst_w, int channels) {
  const size_t pixels = RoundUp(static_cast<size_t>(dst_w), internal::kCubicBlockPx);
  return RoundUp(pixels * channels + internal::kRowSlackBytes / sizeof(int16_t), kAlignBytes);
}

}  // namespace

CubicAxis MakeCubicAxis(int source_px, int destination_px, ResizeKernel kernel) {
  CubicAxis axis;
  axis.first.resize(destination_px);
  axis.weight.resize(4 * static_cast<size_t>(destination_px));
  const double scale = 1.0 / (static_cast<double>(destination_px) / source_px);
  constexpr float kA = -0.75f;
  for (int i = 0; i < destination_px; ++i) {
    const auto centre = static_cast<float>((i + 0.5) * scale - 0.5);
    const float cell = std::floor(centre);
    const float x = centre - cell;  // 0..1 between taps 1 and 2
    const auto near = [](float d) { return ((kA + 2) * d - (kA + 3)) * d * d + 1; };
    const float far = ((kA * (x + 1) - 5 * kA) * (x + 1) + 8 * kA) * (x + 1) - 4 * kA;
    std::array<float, 4> w = {far, near(x), near(1 - x), 1.0f - far - near(x) - near(1 - x)};
    if (kernel == ResizeKernel::kLinear) w = {0, 1 - x, x, 0};
    axis.first[i] = static_cast<int32_t>(cell) - 1;
    for (size_t t = 0; t < 4; ++t) {
      axis.weight[4 * static_cast<size_t>(i) + t] =
          static_cast<int16_t>(std::lrint(w[t] * 2048.0f));
    }
  }
  return axis;
}

Result<CubicResizer> CubicResizer::Create(int src_w, int src_h, int dst_w, int dst_h, int channels,
                                          ResizeKernel kernel) {
  for (int side : {src_w, src_h, dst_w, dst_h}) {
    if (side < 1 || side > kMaxSidePx) {
      return Status(Code::kInvalidArgument,
                    "resize " + std::to_string(src_w) + "x" + std::to_string(src_h) + " to " +
                        std::to_string(dst_w) + "x" + std::to_string(dst_h) + ": want 1.." +
                        std::to_string(kMaxSidePx) + " each side");
    }
  }
  if (channels != 1 && channels != 3 && channels != 4) {
    return Status(Code::kInvalidArgument,
                  "resize channels = " + std::to_string(channels) + ": want 1, 3 or 4");
  }
  CubicResizer r;
  r.src_w_ = src_w;
  r.src_h_ = src_h;
  r.dst_w_ = dst_w;
  r.dst_h_ = dst_h;
  r.channels_ = channels;
  r.kernel_ = kernel;
  r.y_ = MakeCubicAxis(src_h, dst_h, kernel);

  const CubicAxis x = MakeCubicAxis(src_w, dst_w, kernel);
  const size_t pixels = RoundUp(static_cast<size_t>(dst_w), internal::kCubicBlockPx);
  r.x_offset_.assign(pixels, 0);
  r.x_weight_.assign(pixels * (channels == 1 ? 4 : 16), 0);
  for (size_t i = 0; i < x.first.size(); ++i) {
    r.x_offset_[i] = (x.first[i] + internal::kCubicPadPx) * channels;
    const int16_t* w = &x.weight[4 * i];
    if (channels == 1) {
      r.x_weight_[2 * i] = w[0];
      r.x_weight_[2 * i + 1] = w[2];
      r.x_weight_[2 * (pixels + i)] = w[1];
      r.x_weight_[2 * (pixels + i) + 1] = w[3];
    } else {
      for (size_t pair = 0; pair < 4; ++pair) {
        r.x_weight_[16 * i + 2 * pair] = w[0];
        r.x_weight_[16 * i + 2 * pair + 1] = w[1];
        r.x_weight_[16 * i + 8 + 2 * pair] = w[2];
        r.x_weight_[16 * i + 8 + 2 * pair + 1] = w[3];
      }
    }
  }
  return r;
}

size_t CubicResizer::scratch_bytes() const {
  return kAlignBytes + PaddedRowBytes(src_w_, channels_) +
         4 * FilteredRowValues(dst_w_, channels_) * sizeof(int16_t);
}

size_t CubicResizer::table_bytes() const {
  return sizeof(int32_t) * (x_offset_.size() + y_.first.size()) +
         sizeof(int16_t) * (x_weight_.size() + y_.weight.size());
}

void CubicResizer::Resize(const PictureView& src, const MutablePictureView& dst,
                          std::span<uint8_t> scratch) const {
  if (src_w_ == dst_w_ && src_h_ == dst_h_) {
    const size_t row_bytes = static_cast<size_t>(src_w_) * channels_;
    for (int y = 0; y < src_h_; ++y) {
      std::copy_n(src.plane[0] + y * src.stride[0], row_bytes, dst.plane[0] + y * dst.stride[0]);
    }
    return;
  }
  const auto address = reinterpret_cast<uintptr_t>(scratch.data());
  uint8_t* row = scratch.data() + (RoundUp(address, kAlignBytes) - address);
  internal::CubicJob job{.src = src.plane[0],
                         .src_stride = src.stride[0],
                         .src_w = src_w_,
                         .src_h = src_h_,
                         .dst = dst.plane[0],
                         .dst_stride = dst.stride[0],
                         .dst_w = dst_w_,
                         .dst_h = dst_h_,
                         .channels = channels_,
                         .x_offset = x_offset_.data(),
                         .x_weight = x_weight_.data(),
                         .x_weight_pixels = static_cast<int>(x_offset_.size()),
                         .y_first = y_.first.data(),
                         .y_weight = y_.weight.data(),
                         .padded_row = row,
                         .filtered = {}};
  auto* filtered = reinterpret_cast<int16_t*>(row + PaddedRowBytes(src_w_, channels_));
  for (int i = 0; i < 4; ++i) {
    job.filtered[i] = filtered + i * FilteredRowValues(dst_w_, channels_);
  }
  internal::CubicResizeSimd(job);
}

}  // namespace lipcast::imaging
