#include "lipcast/base/picture.h"

#include <cstring>

namespace lipcast {

int PlaneCount(PixelFormat format) { return format == PixelFormat::kI420 ? 3 : 1; }

int PlaneWidthBytes(PixelFormat format, int plane, int width) {
  switch (format) {
    case PixelFormat::kBgr24:
      return 3 * width;
    case PixelFormat::kBgra32:
      return 4 * width;
    case PixelFormat::kI420:
      return plane == 0 ? width : (width + 1) / 2;
    case PixelFormat::kGray8:
      return width;
  }
  return 0;
}

int PlaneHeight(PixelFormat format, int plane, int height) {
  return format == PixelFormat::kI420 && plane > 0 ? (height + 1) / 2 : height;
}

size_t PictureBytes(PixelFormat format, int width, int height) {
  size_t bytes = 0;
  for (int p = 0; p < PlaneCount(format); ++p) {
    bytes +=
        static_cast<size_t>(PlaneWidthBytes(format, p, width)) * PlaneHeight(format, p, height);
  }
  return bytes;
}

namespace {

template <typename View, typename Byte>
View MakePackedView(PixelFormat format, int width, int height, Byte* data) {
  View view{format, width, height, {}, {}};
  for (int p = 0; p < PlaneCount(format); ++p) {
    view.plane[p] = data;
    view.stride[p] = PlaneWidthBytes(format, p, width);
    data += view.stride[p] * PlaneHeight(format, p, height);
  }
  return view;
}

template <typename View>
View CropView(View view, const Rect& rect) {
  view.plane[0] += rect.y0 * view.stride[0] + PlaneWidthBytes(view.format, 0, rect.x0);
  view.width = rect.width();
  view.height = rect.height();
  return view;
}

}  // namespace

PictureView PackedView(PixelFormat format, int width, int height, const uint8_t* data) {
  return MakePackedView<PictureView>(format, width, height, data);
}
MutablePictureView PackedView(PixelFormat format, int width, int height, uint8_t* data) {
  return MakePackedView<MutablePictureView>(format, width, height, data);
}

PictureView Crop(const PictureView& view, const Rect& rect) { return CropView(view, rect); }
MutablePictureView Crop(const MutablePictureView& view, const Rect& rect) {
  return CropView(view, rect);
}

void CopyPicture(const PictureView& from, const MutablePictureView& to) {
  for (int p = 0; p < PlaneCount(from.format); ++p) {
    const auto row_bytes = static_cast<size_t>(PlaneWidthBytes(from.format, p, from.width));
    const int rows = PlaneHeight(from.format, p, from.height);
    if (from.stride[p] == to.stride[p] && from.stride[p] == static_cast<ptrdiff_t>(row_bytes)) {
      std::memcpy(to.plane[p], from.plane[p], row_bytes * rows);
      continue;
    }
    for (int y = 0; y < rows; ++y) {
      std::memcpy(to.plane[p] + y * to.stride[p], from.plane[p] + y * from.stride[p], row_bytes);
    }
  }
}

Result<Picture> Picture::Create(PixelFormat format, int width, int height) {
  if (width < 1 || height < 1 || width > kMaxSidePx || height > kMaxSidePx) {
    return Status(Code::kInvalidArgument, "picture size " + std::to_string(width) + "x" +
                                              std::to_string(height) + ": want 1..8192 each side");
  }
  Picture picture;
  picture.format_ = format;
  picture.width_ = width;
  picture.height_ = height;
  picture.data_ = std::make_unique_for_overwrite<uint8_t[]>(PictureBytes(format, width, height));
  return picture;
}

}  // namespace lipcast
