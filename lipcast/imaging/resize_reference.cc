#include "lipcast/imaging/resize_reference.h"

#include <algorithm>

namespace lipcast::imaging {

void CubicResizeReference(const PictureView& src, const MutablePictureView& dst, int channels,
                          ResizeKernel kernel) {
  const CubicAxis x_axis = MakeCubicAxis(src.width, dst.width, kernel);
  const CubicAxis y_axis = MakeCubicAxis(src.height, dst.height, kernel);
  const auto filtered = [&](int row, int column, int channel) {
    const uint8_t* line = src.plane[0] + row * src.stride[0];
    int sum = 16;
    for (int t = 0; t < 4; ++t) {
      const int x = std::clamp(x_axis.first[column] + t, 0, src.width - 1);
      sum += line[x * channels + channel] * x_axis.weight[4 * static_cast<size_t>(column) + t];
    }
    return sum >> 5;
  };
  for (int y = 0; y < dst.height; ++y) {
    for (int x = 0; x < dst.width; ++x) {
      for (int c = 0; c < channels; ++c) {
        int sum = 1 << 16;
        for (int t = 0; t < 4; ++t) {
          const int row = std::clamp(y_axis.first[y] + t, 0, src.height - 1);
          sum += filtered(row, x, c) * y_axis.weight[4 * static_cast<size_t>(y) + t];
        }
        dst.plane[0][y * dst.stride[0] + x * channels + c] =
            static_cast<uint8_t>(std::clamp(sum >> 17, 0, 255));
      }
    }
  }
}

}  // namespace lipcast::imaging
