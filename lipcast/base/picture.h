#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "lipcast/base/status.h"

namespace lipcast {

/// A half-open pixel rectangle: columns [x0, x1), rows [y0, y1).
struct Rect {
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  int width() const { return x1 - x0; }
  int height() const { return y1 - y0; }
  bool empty() const { return x1 <= x0 || y1 <= y0; }
  friend bool operator==(const Rect&, const Rect&) = default;
};

enum class PixelFormat {
  kBgr24,   ///< one plane, 3 bytes a pixel: blue, green, red
  kBgra32,  ///< one plane, 4 bytes a pixel: blue, green, red, alpha (not premultiplied)
  kI420,    ///< three planes Y, U, V; U and V are (w+1)/2 x (h+1)/2; BT.709 limited range
  kGray8,   ///< one plane
};

/// Largest side of any picture.
inline constexpr int kMaxSidePx = 8192;

/// Borrowed, read-only pixels. Rows are `stride[p]` bytes apart in plane p.
struct PictureView {
  PixelFormat format = PixelFormat::kBgr24;
  int width = 0, height = 0;
  const uint8_t* plane[3] = {};
  ptrdiff_t stride[3] = {};
};

/// Borrowed, writable pixels.
struct MutablePictureView {
  PixelFormat format = PixelFormat::kBgr24;
  int width = 0, height = 0;
  uint8_t* plane[3] = {};
  ptrdiff_t stride[3] = {};

  operator PictureView() const {  // NOLINT: a writable view is a readable one
    return {
        format, width, height, {plane[0], plane[1], plane[2]}, {stride[0], stride[1], stride[2]}};
  }
};

/// How many planes, and how large each is.
int PlaneCount(PixelFormat format);
int PlaneWidthBytes(PixelFormat format, int plane, int width);
int PlaneHeight(PixelFormat format, int plane, int height);

/// Bytes of a tightly packed picture, planes one after another.
size_t PictureBytes(PixelFormat format, int width, int height);

/// Views of tightly packed planes in one block of PictureBytes().
PictureView PackedView(PixelFormat format, int width, int height, const uint8_t* data);
MutablePictureView PackedView(PixelFormat format, int width, int height, uint8_t* data);

/// The part of a one-plane picture inside `rect`, which must lie inside it.
PictureView Crop(const PictureView& view, const Rect& rect);
MutablePictureView Crop(const MutablePictureView& view, const Rect& rect);

/// Copies pixels between equal formats and sizes; strides may differ.
void CopyPicture(const PictureView& from, const MutablePictureView& to);

/// Owned pixels, tightly packed. Moves, never copies by accident.
class Picture {
 public:
  Picture() = default;
  /// kInvalidArgument unless both sides are in 1..kMaxSidePx.
  static Result<Picture> Create(PixelFormat format, int width, int height);
  Picture(Picture&&) = default;
  Picture& operator=(Picture&&) = default;

  PixelFormat format() const { return format_; }
  int width() const { return width_; }
  int height() const { return height_; }
  size_t size_bytes() const { return PictureBytes(format_, width_, height_); }
  const uint8_t* data() const { return data_.get(); }
  uint8_t* data() { return data_.get(); }
  PictureView view() const { return PackedView(format_, width_, height_, data_.get()); }
  MutablePictureView mutable_view() { return PackedView(format_, width_, height_, data_.get()); }

 private:
  PixelFormat format_ = PixelFormat::kBgr24;
  int width_ = 0, height_ = 0;
  std::unique_ptr<uint8_t[]> data_;
};

}  // namespace lipcast
