// Integer arithmetic throughout: no target's own conversion, and no setting for denormals, can
// change a bit.

#include <algorithm>

#include "lipcast/generator/half.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lipcast/generator/half_simd.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lipcast::generator {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using DInts = hn::CappedTag<int32_t, 16>;
using DHalves = hn::Rebind<uint16_t, DInts>;
using VInts = hn::Vec<DInts>;

constexpr int32_t kSmallestNormal = 0x3880'0000;  // 2^-14
constexpr int32_t kBeyond = 0x477F'F000;          // rounds to infinity
constexpr int32_t kRebias = (127 - 15) << 10;

HWY_INLINE hn::Vec<DHalves> Halves(VInts bits, VInts& largest) {
  const DInts di;
  const auto magnitude = hn::And(bits, hn::Set(di, 0x7FFF'FFFF));
  largest = hn::Max(largest, magnitude);
  const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(di, 1));
  const auto rounded = hn::ShiftRight<13>(hn::Add(hn::Add(magnitude, hn::Set(di, 0x0FFF)), odd));
  const auto small = hn::Lt(magnitude, hn::Set(di, kSmallestNormal));
  const auto half = hn::IfThenZeroElse(small, hn::Sub(rounded, hn::Set(di, kRebias)));
  const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(di, 0x8000));
  return hn::DemoteTo(DHalves(), hn::Or(half, sign));
}

bool HalvesOf(const float* HWY_RESTRICT from, size_t count, uint16_t* HWY_RESTRICT to) {
  const DInts di;
  const hn::RebindToFloat<DInts> df;
  const DHalves dh;
  const size_t step = hn::Lanes(di);
  auto largest = hn::Zero(di);
  size_t i = 0;
  for (; i + step <= count; i += step) {
    hn::StoreU(Halves(hn::BitCast(di, hn::LoadU(df, from + i)), largest), dh, to + i);
  }
  if (i < count) {
    HWY_ALIGN float floats[hn::MaxLanes(di)] = {};
    HWY_ALIGN uint16_t halves[hn::MaxLanes(di)];
    std::copy_n(from + i, count - i, floats);
    hn::Store(Halves(hn::BitCast(di, hn::Load(df, floats)), largest), dh, halves);
    std::copy_n(halves, count - i, to + i);
  }
  return hn::AllTrue(di, hn::Lt(largest, hn::Set(di, kBeyond)));
}

HWY_INLINE VInts FloatBits(hn::Vec<DHalves> halves) {
  const DInts di;
  const auto bits = hn::PromoteTo(di, halves);
  const auto magnitude = hn::And(bits, hn::Set(di, 0x7FFF));
  const auto value = hn::ShiftLeft<13>(hn::Add(magnitude, hn::Set(di, kRebias)));
  const auto zero = hn::Eq(magnitude, hn::Zero(di));
  return hn::Or(hn::IfThenZeroElse(zero, value), hn::ShiftLeft<16>(hn::Sub(bits, magnitude)));
}

void FloatsOf(const uint16_t* HWY_RESTRICT from, size_t count, float* HWY_RESTRICT to) {
  const DInts di;
  const hn::RebindToFloat<DInts> df;
  const DHalves dh;
  const size_t step = hn::Lanes(di);
  size_t i = 0;
  for (; i + step <= count; i += step) {
    hn::StoreU(hn::BitCast(df, FloatBits(hn::LoadU(dh, from + i))), df, to + i);
  }
  if (i < count) {
    HWY_ALIGN uint16_t halves[hn::MaxLanes(di)] = {};
    HWY_ALIGN float floats[hn::MaxLanes(di)];
    std::copy_n(from + i, count - i, halves);
    hn::Store(hn::BitCast(df, FloatBits(hn::Load(dh, halves))), df, floats);
    std::copy_n(floats, count - i, to + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lipcast::generator
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lipcast::generator {

HWY_EXPORT(HalvesOf);
HWY_EXPORT(FloatsOf);

bool ToHalf(std::span<const float> from, std::span<uint16_t> to) {
  return HWY_DYNAMIC_DISPATCH(HalvesOf)(from.data(), from.size(), to.data());
}

void FromHalf(std::span<const uint16_t> from, std::span<float> to) {
  HWY_DYNAMIC_DISPATCH(FloatsOf)(from.data(), from.size(), to.data());
}

}  // namespace lipcast::generator
#endif
