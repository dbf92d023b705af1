#pragma once

#include <cstddef>
#include <cstdint>

namespace lipcast::imaging::internal {

/// Source rows are copied between two repeated pixels on each side before they are filtered.
inline constexpr int kCubicPadPx = 2;
/// Horizontal tables and filtered rows are padded to a multiple of this many pixels.
inline constexpr int kCubicBlockPx = 32;
/// Room after a row for the last vector's load or store.
inline constexpr size_t kRowSlackBytes = 64;

/// What one cubic resize reads and writes.
/// x_weight, 3 or 4 channels: per pixel 16 values, (w0 w1) four times, then (w2 w3) four times.
/// x_weight, 1 channel: per pixel 2 values (w0 w2), and after x_weight_pixels of them (w1 w3).
struct CubicJob {
  const uint8_t* src;
  ptrdiff_t src_stride;
  int src_w, src_h;
  uint8_t* dst;
  ptrdiff_t dst_stride;
  int dst_w, dst_h;
  int channels;
  const int32_t* x_offset;
  const int16_t* x_weight;
  int x_weight_pixels;
  const int32_t* y_first;
  const int16_t* y_weight;
  uint8_t* padded_row;   ///< one source row and its padding
  int16_t* filtered[4];  ///< rows filtered horizontally, 6 fractional bits
};

void CubicResizeSimd(const CubicJob& job);

}  // namespace lipcast::imaging::internal
