#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lipcast/avatar/mouth_layout.h"
#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"

namespace lipcast::imaging {

using avatar::ResizeKernel;

/// One direction of a resize: destination i is the sum over t of
/// source[clamp(first[i] + t)] * weight[4 i + t] / 2048.
/// Source: OpenCV's INTER_CUBIC (a = -0.75, half-pixel centres, float weights rounded to 1/2048)
/// or its INTER_LINEAR, which is the same with the outer weights 0.
struct CubicAxis {
  std::vector<int32_t> first;   ///< -2 .. source-1, one per destination pixel
  std::vector<int16_t> weight;  ///< four per destination pixel, about 2048 in sum
};
CubicAxis MakeCubicAxis(int source_px, int destination_px,
                        ResizeKernel kernel = ResizeKernel::kCubic);

/// Cubic (or linear) resize between two fixed sizes, within 1 level of OpenCV's for every shape.
/// Shape:  1..kMaxSidePx each side; 1 (gray), 3 (BGR) or 4 (BGRA) interleaved bytes a pixel.
///         The source's edge pixels repeat outward. Equal sizes copy.
/// Memory: tables made once by Create; Resize allocates nothing and touches only pixels of its
/// views. Thread: immutable, any number of threads, each with its own scratch.
class CubicResizer {
 public:
  /// kInvalidArgument for a side outside 1..kMaxSidePx or channels other than 1, 3, 4.
  static Result<CubicResizer> Create(int src_w, int src_h, int dst_w, int dst_h, int channels = 3,
                                     ResizeKernel kernel = ResizeKernel::kCubic);

  /// `scratch` holds at least scratch_bytes(), with any contents. The views have the sizes and the
  /// channels of Create (I420 goes plane by plane, as gray) and do not overlap.
  void Resize(const PictureView& src, const MutablePictureView& dst,
              std::span<uint8_t> scratch) const;

  size_t scratch_bytes() const;
  size_t table_bytes() const;  ///< memory that the tables take
  int src_width() const { return src_w_; }
  int src_height() const { return src_h_; }
  int dst_width() const { return dst_w_; }
  int dst_height() const { return dst_h_; }
  int channels() const { return channels_; }
  ResizeKernel kernel() const { return kernel_; }

 private:
  CubicResizer() = default;

  int src_w_ = 0, src_h_ = 0, dst_w_ = 0, dst_h_ = 0, channels_ = 3;
  ResizeKernel kernel_ = ResizeKernel::kCubic;
  std::vector<int32_t> x_offset_;  // byte of the first tap in a padded source row
  std::vector<int16_t> x_weight_;  // in the kernel's order, see resize_simd.h
  CubicAxis y_;
};

}  // namespace lipcast::imaging
