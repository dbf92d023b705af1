#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lipcast/base/status.h"
#include "lipcast/imaging/resize.h"

namespace lipcast::imaging {

/// One worker's buffers and resize tables, kept from frame to frame.
/// Memory: nothing is allocated once every shape in use was seen; tables over kMaxTableBytes in
///         all push out the ones unused for longest, and buffers keep their largest size.
/// Thread: one at a time.
class Scratch {
 public:
  static constexpr size_t kMaxTableBytes = size_t{32} << 20;

  /// Buffers that are live at the same time.
  enum class Use { kFilter, kArea, kAreaI420, kFresh, kWeights, kRamp, kMask, kCount };

  /// At least `bytes` bytes, valid until the next call for the same use. Contents are undefined.
  std::span<uint8_t> Bytes(Use use, size_t bytes);

  /// The tables of one shape, valid until the next call. Errors are CubicResizer::Create's.
  Result<const CubicResizer*> Resizer(int src_w, int src_h, int dst_w, int dst_h, int channels,
                                      ResizeKernel kernel = ResizeKernel::kCubic);

  /// CubicResizer::Resize through the two above. One-plane views of equal channels.
  Status Resize(const PictureView& src, const MutablePictureView& dst, int channels,
                ResizeKernel kernel = ResizeKernel::kCubic);

  size_t table_count() const { return entries_.size(); }

 private:
  struct Entry {
    std::unique_ptr<const CubicResizer> resizer;
    uint64_t last_use = 0;
  };
  std::vector<Entry> entries_;
  size_t table_bytes_ = 0;
  uint64_t uses_ = 0;
  std::array<std::vector<uint8_t>, static_cast<size_t>(Use::kCount)> buffers_;
};

}  // namespace lipcast::imaging
