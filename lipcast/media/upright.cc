#include "lipcast/media/upright.h"

#include <cstdlib>
#include <cstring>

namespace lipcast::media {
namespace {

template <int kBytes>
void TurnPlane(const uint8_t* from, ptrdiff_t from_stride, uint8_t* to, ptrdiff_t to_stride,
               int width, int height, const Orientation& way) {
  for (int y = 0; y < height; ++y) {
    const int turned_y = way.flip_y ? height - 1 - y : y;
    uint8_t* out = to + y * to_stride;
    for (int x = 0; x < width; ++x) {
      const int turned_x = way.flip_x ? width - 1 - x : x;
      const uint8_t* in = way.transpose ? from + turned_x * from_stride + turned_y * kBytes
                                        : from + turned_y * from_stride + turned_x * kBytes;
      std::memcpy(out + x * kBytes, in, kBytes);
    }
  }
}

}  // namespace

Orientation OrientationFromExif(int tag) {
  switch (tag) {
    case 2:
      return {false, true, false};
    case 3:
      return {false, true, true};
    case 4:
      return {false, false, true};
    case 5:
      return {true, false, false};
    case 6:
      return {true, true, false};
    case 7:
      return {true, true, true};
    case 8:
      return {true, false, true};
    default:
      return {};
  }
}

Orientation OrientationFromMatrix(const int32_t matrix[9]) {
  // Display x = a p + c q and y = b p + d q for the stored pixel (p, q).
  const int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
  if (std::llabs(a) + std::llabs(d) >= std::llabs(b) + std::llabs(c)) {
    return {false, a < 0, d < 0};
  }
  return {true, c < 0, b < 0};
}

Result<Picture> MakeUpright(const PictureView& picture, const Orientation& orientation) {
  const int width = orientation.transpose ? picture.height : picture.width;
  const int height = orientation.transpose ? picture.width : picture.height;
  LC_ASSIGN_OR_RETURN(Picture turned, Picture::Create(picture.format, width, height));
  const MutablePictureView to = turned.mutable_view();
  for (int p = 0; p < PlaneCount(picture.format); ++p) {
    const int rows = PlaneHeight(picture.format, p, height);
    const int bytes = PlaneWidthBytes(picture.format, p, width);
    switch (picture.format) {
      case PixelFormat::kBgr24:
        TurnPlane<3>(picture.plane[p], picture.stride[p], to.plane[p], to.stride[p], bytes / 3,
                     rows, orientation);
        break;
      case PixelFormat::kBgra32:
        TurnPlane<4>(picture.plane[p], picture.stride[p], to.plane[p], to.stride[p], bytes / 4,
                     rows, orientation);
        break;
      case PixelFormat::kI420:
      case PixelFormat::kGray8:
        TurnPlane<1>(picture.plane[p], picture.stride[p], to.plane[p], to.stride[p], bytes, rows,
                     orientation);
        break;
    }
  }
  return turned;
}

}  // namespace lipcast::media
