#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "hwy/highway.h"
#include "lipcast/base/picture.h"

namespace lipcast::imaging {

/// The upper byte of a linear congruential sequence, the same as in testdata/make_golden.py.
inline void FillNoise(uint8_t* to, size_t count, uint32_t seed) {
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    to[i] = static_cast<uint8_t>(seed >> 24);
  }
}

/// Noise in a picture whose planes are three allocations without a spare byte, so that the address
/// sanitizer sees a read past an edge; or, with padding, rows that stand apart between guard bytes,
/// so that GuardsIntact sees a write past an edge in any build.
class TestPicture {
 public:
  TestPicture(PixelFormat format, int width, int height, uint32_t seed, int padding = 0)
      : padding_(padding) {
    view_.format = format;
    view_.width = width;
    view_.height = height;
    for (int p = 0; p < PlaneCount(format); ++p) {
      const int row_bytes = PlaneWidthBytes(format, p, width);
      const int rows = PlaneHeight(format, p, height);
      view_.stride[p] = row_bytes + 2 * padding;
      std::vector<uint8_t>& plane = planes_[p];
      plane.resize(static_cast<size_t>(view_.stride[p]) * (rows + (padding > 0 ? 2 : 0)));
      FillNoise(plane.data(), plane.size(), seed + 77u * static_cast<uint32_t>(p));
      before_[p] = plane;
      view_.plane[p] = plane.data() + (padding > 0 ? view_.stride[p] + padding : 0);
    }
  }
  TestPicture(TestPicture&&) = default;  // the planes keep their addresses
  TestPicture& operator=(TestPicture&&) = default;

  const MutablePictureView& view() const { return view_; }
  uint8_t at(int x, int y, int channel = 0) const {
    return view_.plane[0][y * view_.stride[0] + x * PlaneWidthBytes(view_.format, 0, 1) + channel];
  }
  void Fill(std::initializer_list<uint8_t> pixel) {
    for (int y = 0; y < view_.height; ++y) {
      uint8_t* to = view_.plane[0] + y * view_.stride[0];
      for (int x = 0; x < view_.width; ++x) to = std::copy(pixel.begin(), pixel.end(), to);
    }
  }

  /// True when no byte outside the pixels has changed since the start.
  bool GuardsIntact() const {
    for (int p = 0; p < PlaneCount(view_.format); ++p) {
      std::vector<uint8_t> expected = before_[p];
      if (padding_ > 0) {
        const auto row_bytes = static_cast<size_t>(PlaneWidthBytes(view_.format, p, view_.width));
        for (int y = 0; y < PlaneHeight(view_.format, p, view_.height); ++y) {
          const ptrdiff_t at = view_.plane[p] - planes_[p].data() + y * view_.stride[p];
          std::copy_n(planes_[p].begin() + at, row_bytes, expected.begin() + at);
        }
        if (expected != planes_[p]) return false;
      }
    }
    return true;
  }

 private:
  int padding_;
  MutablePictureView view_;
  std::vector<uint8_t> planes_[3], before_[3];
};

/// The largest difference of any byte of two pictures of one format and size.
inline int MaxDifference(const PictureView& a, const PictureView& b) {
  int worst = 0;
  for (int p = 0; p < PlaneCount(a.format); ++p) {
    for (int y = 0; y < PlaneHeight(a.format, p, a.height); ++y) {
      for (int x = 0; x < PlaneWidthBytes(a.format, p, a.width); ++x) {
        worst = std::max(
            worst, std::abs(a.plane[p][y * a.stride[p] + x] - b.plane[p][y * b.stride[p] + x]));
      }
    }
  }
  return worst;
}

/// Runs a check once for each instruction set that this machine has and the build made.
class EachTarget : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override {
    hwy::SetSupportedTargetsForTest(GetParam());
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  void TearDown() override {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

}  // namespace lipcast::imaging

#define LC_INSTANTIATE_TARGETS(suite)                                         \
  INSTANTIATE_TEST_SUITE_P(                                                   \
      Targets, suite, testing::ValuesIn(hwy::SupportedAndGeneratedTargets()), \
      [](const auto& target) { return std::string(hwy::TargetName(target.param)); })
