#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lipcast/imaging/blend.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lipcast/imaging/blend_simd.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lipcast::imaging::internal {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D8 = hn::CappedTag<uint8_t, 32>;
using D16 = hn::Repartition<uint16_t, D8>;
using V8 = hn::Vec<D8>;
using V16 = hn::Vec<D16>;
constexpr size_t kStep = hn::MaxLanes(D8());

HWY_INLINE V16 Even(V8 v) { return hn::And(hn::BitCast(D16(), v), hn::Set(D16(), 0xFF)); }
HWY_INLINE V16 Odd(V8 v) { return hn::ShiftRight<8>(hn::BitCast(D16(), v)); }

// round(v / 255) in the high byte, exact for v <= 255 * 255.
HWY_INLINE V16 By255High(V16 v) {
  const auto rounded = hn::Add(v, hn::Set(D16(), 128));
  return hn::Add(rounded, hn::ShiftRight<8>(rounded));
}
HWY_INLINE V8 JoinHigh(V16 even, V16 odd) {
  return hn::OddEven(hn::BitCast(D8(), odd), hn::BitCast(D8(), hn::ShiftRight<8>(even)));
}

HWY_INLINE V8 Scale(V8 a, V8 b) {
  return JoinHigh(By255High(hn::Mul(Even(a), Even(b))), By255High(hn::Mul(Odd(a), Odd(b))));
}

HWY_INLINE V8 Mix(V8 picture, V8 fresh, V8 weight) {
  const auto rest = hn::Xor(weight, hn::Set(D8(), 0xFF));  // 255 - weight
  const auto even = hn::Add(hn::Mul(Even(picture), Even(rest)), hn::Mul(Even(fresh), Even(weight)));
  const auto odd = hn::Add(hn::Mul(Odd(picture), Odd(rest)), hn::Mul(Odd(fresh), Odd(weight)));
  return JoinHigh(By255High(even), By255High(odd));
}

void MixBytes(const uint8_t* fresh, const uint8_t* weight, uint8_t* picture, size_t count) {
  const D8 d8;
  const auto step = [&](const uint8_t* f, const uint8_t* w, uint8_t* p) HWY_ATTR {
    hn::StoreU(Mix(hn::LoadU(d8, p), hn::LoadU(d8, f), hn::LoadU(d8, w)), d8, p);
  };
  size_t i = 0;
  for (; i + kStep <= count; i += kStep) step(fresh + i, weight + i, picture + i);
  if (i < count) {
    HWY_ALIGN uint8_t f[kStep] = {}, w[kStep] = {}, p[kStep] = {};
    std::memcpy(f, fresh + i, count - i);
    std::memcpy(w, weight + i, count - i);
    std::memcpy(p, picture + i, count - i);
    step(f, w, p);
    std::memcpy(picture + i, p, count - i);
  }
}

void MixWeights(const uint8_t* across, uint8_t down, const uint8_t* mask, uint8_t scale,
                uint8_t* weight, size_t count) {
  const D8 d8;
  const auto down_v = hn::Set(d8, down);
  const auto scale_v = hn::Set(d8, scale);
  const auto step = [&](const uint8_t* a, const uint8_t* m, uint8_t* to) HWY_ATTR {
    auto w = hn::Min(hn::LoadU(d8, a), down_v);
    if (m != nullptr) w = Scale(w, hn::LoadU(d8, m));
    hn::StoreU(Scale(w, scale_v), d8, to);
  };
  size_t i = 0;
  for (; i + kStep <= count; i += kStep) {
    step(across + i, mask == nullptr ? nullptr : mask + i, weight + i);
  }
  if (i < count) {
    HWY_ALIGN uint8_t a[kStep] = {}, m[kStep] = {}, w[kStep];
    std::memcpy(a, across + i, count - i);
    if (mask != nullptr) std::memcpy(m, mask + i, count - i);
    step(a, mask == nullptr ? nullptr : m, w);
    std::memcpy(weight + i, w, count - i);
  }
}

void BgraOverColour(const PictureView& src, Bgr colour, const MutablePictureView& dst) {
  const D8 d8;
  const auto under_blue = hn::Set(d8, colour.blue);
  const auto under_green = hn::Set(d8, colour.green);
  const auto under_red = hn::Set(d8, colour.red);
  const auto step = [&](const uint8_t* from, uint8_t* to) HWY_ATTR {
    V8 blue, green, red, alpha;
    hn::LoadInterleaved4(d8, from, blue, green, red, alpha);
    hn::StoreInterleaved3(Mix(under_blue, blue, alpha), Mix(under_green, green, alpha),
                          Mix(under_red, red, alpha), d8, to);
  };
  const auto width = static_cast<size_t>(dst.width);
  for (int y = 0; y < dst.height; ++y) {
    const uint8_t* from = src.plane[0] + y * src.stride[0];
    uint8_t* to = dst.plane[0] + y * dst.stride[0];
    size_t x = 0;
    for (; x + kStep <= width; x += kStep) step(from + 4 * x, to + 3 * x);
    if (x < width) {
      HWY_ALIGN uint8_t last_from[4 * kStep] = {}, last_to[3 * kStep];
      std::memcpy(last_from, from + 4 * x, 4 * (width - x));
      step(last_from, last_to);
      std::memcpy(to + 3 * x, last_to, 3 * (width - x));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lipcast::imaging::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lipcast::imaging {
namespace internal {
HWY_EXPORT(MixBytes);
HWY_EXPORT(MixWeights);
HWY_EXPORT(BgraOverColour);
}  // namespace internal

void MixBytes(const uint8_t* fresh, const uint8_t* weight, uint8_t* picture, size_t count) {
  using namespace internal;  // NOLINT: the dispatch macro takes an unqualified name
  HWY_DYNAMIC_DISPATCH(MixBytes)(fresh, weight, picture, count);
}
void MixWeights(const uint8_t* across, uint8_t down, const uint8_t* mask, uint8_t scale,
                uint8_t* weight, size_t count) {
  using namespace internal;  // NOLINT: the dispatch macro takes an unqualified name
  HWY_DYNAMIC_DISPATCH(MixWeights)(across, down, mask, scale, weight, count);
}
void BgraOverColour(const PictureView& src, Bgr colour, const MutablePictureView& dst) {
  using namespace internal;  // NOLINT: the dispatch macro takes an unqualified name
  HWY_DYNAMIC_DISPATCH(BgraOverColour)(src, colour, dst);
}

}  // namespace lipcast::imaging
#endif
