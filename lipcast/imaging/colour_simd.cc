#include "lipcast/imaging/colour_simd.h"

#include <algorithm>
#include <cstring>

#include "lipcast/imaging/colour_fixed.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lipcast/imaging/colour_simd.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lipcast::imaging::internal {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// One step is a vector of bytes for each channel. Its even and odd pixels are handled as two
// vectors of 16-bit lanes, so lane i of the chroma serves lane i of both and nothing is shuffled.
using D8 = hn::CappedTag<uint8_t, 32>;
using D8Half = hn::Half<D8>;
using D16 = hn::Repartition<int16_t, D8>;
using DU16 = hn::Repartition<uint16_t, D8>;
using V8 = hn::Vec<D8>;
using V16 = hn::Vec<D16>;
using VU16 = hn::Vec<DU16>;
constexpr auto kStep = static_cast<int>(hn::MaxLanes(D8()));

HWY_INLINE VU16 EvenHigh(V8 v) { return hn::ShiftLeft<8>(hn::BitCast(DU16(), v)); }
HWY_INLINE VU16 OddHigh(V8 v) { return hn::And(hn::BitCast(DU16(), v), hn::Set(DU16(), 0xFF00)); }
HWY_INLINE V16 CentredChroma(const uint8_t* from) {
  const auto wide = hn::PromoteTo(D16(), hn::LoadU(D8Half(), from));
  return hn::Xor(hn::ShiftLeft<8>(wide), hn::Set(D16(), static_cast<int16_t>(-32768)));
}

HWY_INLINE V8 BgrLevels(V16 luma_even, V16 luma_odd, V16 chroma) {
  const D16 d16;
  const auto zero = hn::Set(d16, kBgrZero);
  const auto even = hn::Max(hn::SaturatedAdd(luma_even, chroma), zero);
  const auto odd = hn::Max(hn::SaturatedAdd(luma_odd, chroma), zero);
  // Both are in [2^14, 2^15): the level is bits 6 to 13.
  return hn::OddEven(hn::BitCast(D8(), hn::ShiftLeft<2>(odd)),
                     hn::BitCast(D8(), hn::ShiftRight<6>(even)));
}

// One step of two rows.
HWY_INLINE void I420ToBgrStep(const uint8_t* const luma[2], const uint8_t* u_from,
                              const uint8_t* v_from, uint8_t* const bgr[2]) {
  const D16 d16;
  const auto u = CentredChroma(u_from);
  const auto v = CentredChroma(v_from);
  const auto bias = hn::Set(d16, kChromaBias);
  const auto blue = hn::Add(hn::MulFixedPoint15(u, hn::Set(d16, kBlueFromU)), bias);
  const auto green = hn::Add(hn::Add(hn::MulFixedPoint15(u, hn::Set(d16, kGreenFromU)),
                                     hn::MulFixedPoint15(v, hn::Set(d16, kGreenFromV))),
                             bias);
  const auto red = hn::Add(hn::MulFixedPoint15(v, hn::Set(d16, kRedFromV)), bias);
  const auto gain = hn::Set(DU16(), kLumaGain);
  for (int row = 0; row < 2; ++row) {
    const auto y = hn::LoadU(D8(), luma[row]);
    const auto even = hn::BitCast(d16, hn::MulHigh(EvenHigh(y), gain));
    const auto odd = hn::BitCast(d16, hn::MulHigh(OddHigh(y), gain));
    hn::StoreInterleaved3(BgrLevels(even, odd, blue), BgrLevels(even, odd, green),
                          BgrLevels(even, odd, red), D8(), bgr[row]);
  }
}

void I420ToBgr(const PictureView& src, const MutablePictureView& dst) {
  const int whole = dst.width / kStep * kStep;
  for (int y = 0; y < dst.height; y += 2) {
    const int below = std::min(y + 1, dst.height - 1);
    const uint8_t* luma[2] = {src.plane[0] + y * src.stride[0],
                              src.plane[0] + below * src.stride[0]};
    const uint8_t* u = src.plane[1] + y / 2 * src.stride[1];
    const uint8_t* v = src.plane[2] + y / 2 * src.stride[2];
    uint8_t* bgr[2] = {dst.plane[0] + y * dst.stride[0], dst.plane[0] + below * dst.stride[0]};
    for (int x = 0; x < whole; x += kStep) {
      const uint8_t* luma_at[2] = {luma[0] + x, luma[1] + x};
      uint8_t* bgr_at[2] = {bgr[0] + 3 * x, bgr[1] + 3 * x};
      I420ToBgrStep(luma_at, u + x / 2, v + x / 2, bgr_at);
    }
    if (whole < dst.width) {  // the last pixels through buffers of one whole step
      const auto rest = static_cast<size_t>(dst.width - whole);
      HWY_ALIGN uint8_t last_luma[2][kStep] = {};
      HWY_ALIGN uint8_t last_u[kStep] = {}, last_v[kStep] = {};
      HWY_ALIGN uint8_t last_bgr[2][3 * kStep];
      for (int row = 0; row < 2; ++row) std::memcpy(last_luma[row], luma[row] + whole, rest);
      std::memcpy(last_u, u + whole / 2, (rest + 1) / 2);
      std::memcpy(last_v, v + whole / 2, (rest + 1) / 2);
      const uint8_t* luma_at[2] = {last_luma[0], last_luma[1]};
      uint8_t* bgr_at[2] = {last_bgr[0], last_bgr[1]};
      I420ToBgrStep(luma_at, last_u, last_v, bgr_at);
      for (int row = 0; row < 2; ++row) std::memcpy(bgr[row] + 3 * whole, last_bgr[row], 3 * rest);
    }
  }
}

HWY_INLINE V8 LumaLevels(V8 blue, V8 green, V8 red) {
  const DU16 d16;
  const auto from_blue = hn::Set(d16, kYFromBlue);
  const auto from_green = hn::Set(d16, kYFromGreen);
  const auto from_red = hn::Set(d16, kYFromRed);
  const auto bias = hn::Set(d16, kYBias);
  const auto luma = [&](VU16 b, VU16 g, VU16 r) HWY_ATTR {
    return hn::Add(hn::Add(hn::MulHigh(b, from_blue), hn::MulHigh(g, from_green)),
                   hn::Add(hn::MulHigh(r, from_red), bias));
  };
  const auto even = luma(EvenHigh(blue), EvenHigh(green), EvenHigh(red));
  const auto odd = luma(OddHigh(blue), OddHigh(green), OddHigh(red));
  return hn::OddEven(hn::BitCast(D8(), odd), hn::BitCast(D8(), hn::ShiftRight<8>(even)));
}

// Sums of 2x2 levels, times 32.
HWY_INLINE V16 BlockSums(V8 above, V8 below) {
  const DU16 d16;
  const auto low = hn::Set(d16, 0xFF);
  const auto a = hn::BitCast(d16, above), b = hn::BitCast(d16, below);
  const auto sum = hn::Add(hn::Add(hn::And(a, low), hn::ShiftRight<8>(a)),
                           hn::Add(hn::And(b, low), hn::ShiftRight<8>(b)));
  return hn::BitCast(D16(), hn::ShiftLeft<5>(sum));
}

HWY_INLINE void StoreChroma(V16 blue, V16 green, V16 red, int16_t from_blue, int16_t from_green,
                            int16_t from_red, uint8_t* to) {
  const D16 d16;
  const auto sum =
      hn::Add(hn::Add(hn::MulFixedPoint15(blue, hn::Set(d16, from_blue)),
                      hn::MulFixedPoint15(green, hn::Set(d16, from_green))),
              hn::Add(hn::MulFixedPoint15(red, hn::Set(d16, from_red)), hn::Set(d16, kChromaZero)));
  hn::StoreU(hn::DemoteTo(D8Half(), hn::ShiftRight<7>(sum)), D8Half(), to);
}

HWY_INLINE void BgrToI420Step(const uint8_t* const bgr[2], uint8_t* const luma[2], uint8_t* u,
                              uint8_t* v) {
  const D8 d8;
  V8 blue[2], green[2], red[2];
  for (int row = 0; row < 2; ++row) {
    hn::LoadInterleaved3(d8, bgr[row], blue[row], green[row], red[row]);
    hn::StoreU(LumaLevels(blue[row], green[row], red[row]), d8, luma[row]);
  }
  const auto b = BlockSums(blue[0], blue[1]);
  const auto g = BlockSums(green[0], green[1]);
  const auto r = BlockSums(red[0], red[1]);
  StoreChroma(b, g, r, kUFromBlue, kUFromGreen, kUFromRed, u);
  StoreChroma(b, g, r, kVFromBlue, kVFromGreen, kVFromRed, v);
}

void BgrToI420(const PictureView& src, const MutablePictureView& dst) {
  const int whole = src.width / kStep * kStep;
  for (int y = 0; y < src.height; y += 2) {
    const int below = std::min(y + 1, src.height - 1);
    const uint8_t* bgr[2] = {src.plane[0] + y * src.stride[0],
                             src.plane[0] + below * src.stride[0]};
    uint8_t* luma[2] = {dst.plane[0] + y * dst.stride[0], dst.plane[0] + below * dst.stride[0]};
    uint8_t* u = dst.plane[1] + y / 2 * dst.stride[1];
    uint8_t* v = dst.plane[2] + y / 2 * dst.stride[2];
    for (int x = 0; x < whole; x += kStep) {
      const uint8_t* bgr_at[2] = {bgr[0] + 3 * x, bgr[1] + 3 * x};
      uint8_t* luma_at[2] = {luma[0] + x, luma[1] + x};
      BgrToI420Step(bgr_at, luma_at, u + x / 2, v + x / 2);
    }
    if (whole < src.width) {
      const int rest = src.width - whole;
      HWY_ALIGN uint8_t last_bgr[2][3 * kStep] = {};
      HWY_ALIGN uint8_t last_luma[2][kStep], last_u[kStep], last_v[kStep];
      for (int row = 0; row < 2; ++row) {
        std::memcpy(last_bgr[row], bgr[row] + 3 * whole, static_cast<size_t>(3 * rest));
        std::memcpy(last_bgr[row] + 3 * rest, bgr[row] + 3 * (src.width - 1), 3);
      }
      const uint8_t* bgr_at[2] = {last_bgr[0], last_bgr[1]};
      uint8_t* luma_at[2] = {last_luma[0], last_luma[1]};
      BgrToI420Step(bgr_at, luma_at, last_u, last_v);
      for (int row = 0; row < 2; ++row) {
        std::memcpy(luma[row] + whole, last_luma[row], static_cast<size_t>(rest));
      }
      std::memcpy(u + whole / 2, last_u, static_cast<size_t>(rest + 1) / 2);
      std::memcpy(v + whole / 2, last_v, static_cast<size_t>(rest + 1) / 2);
    }
  }
}

void BgraToBgr(const PictureView& src, const MutablePictureView& dst) {
  const D8 d8;
  for (int y = 0; y < dst.height; ++y) {
    const uint8_t* HWY_RESTRICT from = src.plane[0] + y * src.stride[0];
    uint8_t* HWY_RESTRICT to = dst.plane[0] + y * dst.stride[0];
    int x = 0;
    for (; x + kStep <= dst.width; x += kStep) {
      V8 blue, green, red, alpha;
      hn::LoadInterleaved4(d8, from + 4 * x, blue, green, red, alpha);
      hn::StoreInterleaved3(blue, green, red, d8, to + 3 * x);
    }
    for (; x < dst.width; ++x) std::memcpy(to + 3 * x, from + 4 * x, 3);
  }
}

void BgrIntoBgra(const PictureView& src, const MutablePictureView& dst) {
  const D8 d8;
  for (int y = 0; y < dst.height; ++y) {
    const uint8_t* HWY_RESTRICT from = src.plane[0] + y * src.stride[0];
    uint8_t* HWY_RESTRICT to = dst.plane[0] + y * dst.stride[0];
    int x = 0;
    for (; x + kStep <= dst.width; x += kStep) {
      V8 blue, green, red, alpha;
      hn::LoadInterleaved4(d8, to + 4 * x, blue, green, red, alpha);
      hn::LoadInterleaved3(d8, from + 3 * x, blue, green, red);
      hn::StoreInterleaved4(blue, green, red, alpha, d8, to + 4 * x);
    }
    for (; x < dst.width; ++x) std::memcpy(to + 4 * x, from + 3 * x, 3);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lipcast::imaging::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lipcast::imaging::internal {

HWY_EXPORT(I420ToBgr);
HWY_EXPORT(BgrToI420);
HWY_EXPORT(BgraToBgr);
HWY_EXPORT(BgrIntoBgra);

void I420ToBgrSimd(const PictureView& src, const MutablePictureView& dst) {
  HWY_DYNAMIC_DISPATCH(I420ToBgr)(src, dst);
}
void BgrToI420Simd(const PictureView& src, const MutablePictureView& dst) {
  HWY_DYNAMIC_DISPATCH(BgrToI420)(src, dst);
}
void BgraToBgrSimd(const PictureView& src, const MutablePictureView& dst) {
  HWY_DYNAMIC_DISPATCH(BgraToBgr)(src, dst);
}
void BgrIntoBgraSimd(const PictureView& src, const MutablePictureView& dst) {
  HWY_DYNAMIC_DISPATCH(BgrIntoBgra)(src, dst);
}

}  // namespace lipcast::imaging::internal
#endif
