#include "lipcast/imaging/pack_simd.h"

#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lipcast/imaging/pack_simd.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lipcast::imaging::internal {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Pixels a step: one vector of bytes for each channel.
using DBytes = hn::CappedTag<uint8_t, 32>;
using VBytes = hn::Vec<DBytes>;
constexpr auto kStep = static_cast<int>(hn::MaxLanes(DBytes()));

HWY_INLINE void StoreFloats(VBytes levels, float* HWY_RESTRICT first, float* HWY_RESTRICT second) {
  HWY_ALIGN uint8_t bytes[kStep];
  hn::Store(levels, DBytes(), bytes);
  const hn::CappedTag<float, kStep> df;
  const hn::Rebind<int32_t, decltype(df)> di;
  const hn::Rebind<uint8_t, decltype(df)> db;
  const auto white = hn::Set(df, 255.0f);
  for (int i = 0; i < kStep; i += static_cast<int>(hn::Lanes(df))) {
    const auto level = hn::ConvertTo(df, hn::PromoteTo(di, hn::LoadU(db, bytes + i)));
    const auto value = hn::Div(level, white);
    hn::StoreU(value, df, first + i);
    hn::StoreU(value, df, second + i);
  }
}

void PackPlanes(const uint8_t* bgr, ptrdiff_t stride, int side, float* first, float* second) {
  const DBytes d8;
  const ptrdiff_t plane = static_cast<ptrdiff_t>(side) * side;
  for (int y = 0; y < side; ++y) {
    const uint8_t* HWY_RESTRICT row = bgr + y * stride;
    float* a = first + static_cast<ptrdiff_t>(y) * side;
    float* b = second + static_cast<ptrdiff_t>(y) * side;
    int x = 0;
    for (; x + kStep <= side; x += kStep) {
      VBytes blue, green, red;
      hn::LoadInterleaved3(d8, row + 3 * x, blue, green, red);
      StoreFloats(blue, a + x, b + x);
      StoreFloats(green, a + plane + x, b + plane + x);
      StoreFloats(red, a + 2 * plane + x, b + 2 * plane + x);
    }
    for (; x < side; ++x) {
      for (int c = 0; c < 3; ++c) {
        const float value = static_cast<float>(row[3 * x + c]) / 255.0f;
        a[c * plane + x] = value;
        b[c * plane + x] = value;
      }
    }
  }
}

using DFloats = hn::CappedTag<float, 8>;
using DInts = hn::Rebind<int32_t, DFloats>;

// Levels 0..255 of one vector; the largest magnitude seen, as bits, shows NaN and infinity.
HWY_INLINE hn::Vec<DInts> Levels(hn::Vec<DFloats> value, hn::Vec<DInts>& largest) {
  const DFloats df;
  const DInts di;
  largest = hn::Max(largest, hn::BitCast(di, hn::Abs(value)));
  const auto level = hn::Mul(value, hn::Set(df, 255.0f));
  return hn::ConvertTo(di, hn::Max(hn::Min(level, hn::Set(df, 255.0f)), hn::Zero(df)));
}

// Sixteen levels of one plane as bytes, in order.
HWY_INLINE hn::Vec<hn::Full128<uint8_t>> SixteenLevels(const float* from, hn::Vec<DInts>& largest) {
  const hn::Full128<uint8_t> d8;
  const hn::Repartition<int16_t, DInts> d16;
#if HWY_MAX_BYTES >= 32
  // Demotion joins the two vectors block by block, so each takes every other four floats.
  const hn::Full128<float> d128;
  const auto four = [&](int i) HWY_ATTR {
    return hn::Combine(DFloats(), hn::LoadU(d128, from + i + 8), hn::LoadU(d128, from + i));
  };
  return hn::DemoteTo(
      d8, hn::ReorderDemote2To(d16, Levels(four(0), largest), Levels(four(4), largest)));
#else
  const hn::Half<decltype(d8)> d8_half;
  const auto eight = [&](int i) HWY_ATTR {
    const auto low = Levels(hn::LoadU(DFloats(), from + i), largest);
    const auto high = Levels(hn::LoadU(DFloats(), from + i + 4), largest);
    return hn::DemoteTo(d8_half, hn::ReorderDemote2To(d16, low, high));
  };
  return hn::Combine(d8, eight(8), eight(0));
#endif
}

bool UnpackPlanes(const float* planes, int side, uint8_t* bgr, ptrdiff_t stride) {
  const hn::Full128<uint8_t> d8;
  const DInts di;
  const ptrdiff_t plane = static_cast<ptrdiff_t>(side) * side;
  auto largest = hn::Zero(di);
  for (int y = 0; y < side; ++y) {
    const float* HWY_RESTRICT from = planes + static_cast<ptrdiff_t>(y) * side;
    uint8_t* HWY_RESTRICT to = bgr + y * stride;
    int x = 0;
    for (; x + 16 <= side; x += 16) {
      const auto blue = SixteenLevels(from + x, largest);
      const auto green = SixteenLevels(from + plane + x, largest);
      const auto red = SixteenLevels(from + 2 * plane + x, largest);
      hn::StoreInterleaved3(blue, green, red, d8, to + 3 * x);
    }
    if (x < side) {  // the last pixels through buffers of one whole step
      const auto count = static_cast<size_t>(side - x);
      HWY_ALIGN float floats[3][16] = {};
      HWY_ALIGN uint8_t bytes[48];
      for (int c = 0; c < 3; ++c) {
        std::memcpy(floats[c], from + c * plane + x, count * sizeof(float));
      }
      const auto blue = SixteenLevels(floats[0], largest);
      const auto green = SixteenLevels(floats[1], largest);
      const auto red = SixteenLevels(floats[2], largest);
      hn::StoreInterleaved3(blue, green, red, d8, bytes);
      std::memcpy(to + 3 * x, bytes, 3 * count);
    }
  }
  const auto infinity = hn::Set(di, 0x7F80'0000);
  return hn::AllTrue(di, hn::Lt(largest, infinity));
}

}  // namespace HWY_NAMESPACE
}  // namespace lipcast::imaging::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lipcast::imaging::internal {

HWY_EXPORT(PackPlanes);
HWY_EXPORT(UnpackPlanes);

void PackPlanesSimd(const uint8_t* bgr, ptrdiff_t stride, int side, float* first, float* second) {
  HWY_DYNAMIC_DISPATCH(PackPlanes)(bgr, stride, side, first, second);
}

bool UnpackPlanesSimd(const float* planes, int side, uint8_t* bgr, ptrdiff_t stride) {
  return HWY_DYNAMIC_DISPATCH(UnpackPlanes)(planes, side, bgr, stride);
}

}  // namespace lipcast::imaging::internal
#endif
