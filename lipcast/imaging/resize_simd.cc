#include "lipcast/imaging/resize_simd.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lipcast/imaging/resize_simd.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lipcast::imaging::internal {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// a[2i] * b[2i] + a[2i+1] * b[2i+1] in lane i, on every target.
template <class D32, class V16>
HWY_INLINE hn::Vec<D32> MultiplyPairs(D32 d32, V16 a, V16 b) {
  hn::Vec<D32> odd = hn::Zero(d32);
  const auto even = hn::ReorderWidenMulAccumulate(d32, a, b, hn::Zero(d32), odd);
  return hn::RearrangeToOddPlusEven(even, odd);
}

// Two pixels a call where vectors have 32 bytes, else one.
using DBytes = hn::CappedTag<uint8_t, 32>;
constexpr size_t kPixels = hn::MaxLanes(DBytes()) / 16;

template <int kStep>
HWY_INLINE hn::Vec<DBytes> LoadPixels(const uint8_t* row, const int32_t* offset) {
  const hn::Full128<uint8_t> d128;
#if HWY_MAX_BYTES >= 32
  return hn::Combine(DBytes(), hn::LoadU(d128, row + offset[kStep]),
                     hn::LoadU(d128, row + offset[0]));
#else
  return hn::LoadU(d128, row + offset[0]);
#endif
}

template <int kStep>
HWY_INLINE hn::Vec<hn::Repartition<int16_t, DBytes>> LoadWeights(const int16_t* weight) {
#if HWY_MAX_BYTES >= 32
  const hn::Full128<int16_t> d128;
  return hn::Combine(hn::Repartition<int16_t, DBytes>(), hn::LoadU(d128, weight + 16 * kStep),
                     hn::LoadU(d128, weight));
#else
  return hn::LoadU(hn::Full128<int16_t>(), weight);
#endif
}

// Source bytes of taps (0 1) or (2 3), channel by channel, widened to 16 bits: 0x80 gives zero.
template <int kChannels>
HWY_INLINE hn::Vec<DBytes> TapShuffle(int tap) {
  HWY_ALIGN uint8_t index[32];
  for (int block = 0; block < 2; ++block) {
    for (int c = 0; c < 4; ++c) {
      const bool used = c < kChannels;
      uint8_t* i = index + 16 * block + 4 * c;
      i[0] = used ? static_cast<uint8_t>(tap * kChannels + c) : 0x80;
      i[2] = used ? static_cast<uint8_t>((tap + 1) * kChannels + c) : 0x80;
      i[1] = i[3] = 0x80;
    }
  }
  return hn::Load(DBytes(), index);
}

// One source row, filtered horizontally, to 6 fractional bits. Writes whole blocks.
template <int kChannels>
void FilterRow(const CubicJob& job, int16_t* HWY_RESTRICT out) {
  const DBytes d8;
  const hn::Repartition<int16_t, DBytes> d16;
  const hn::Repartition<int32_t, DBytes> d32;
  const auto taps01 = TapShuffle<kChannels>(0);
  const auto taps23 = TapShuffle<kChannels>(2);
  const auto half = hn::Set(d32, 16);
  HWY_ALIGN static constexpr uint8_t kPackBgr[32] = {
      0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 0x80, 0x80, 0x80, 0x80,
      0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 0x80, 0x80, 0x80, 0x80};
  const auto pack_bgr = hn::Load(d8, kPackBgr);
  const uint8_t* HWY_RESTRICT row = job.padded_row;

  // kStep apart, so that packing the two results puts neighbours into one 128-bit block.
  const auto filter = [&](int x) HWY_ATTR {
    const auto bytes = LoadPixels<2>(row, job.x_offset + x);
    const int16_t* weight = job.x_weight + 16 * static_cast<ptrdiff_t>(x);
    const auto a = MultiplyPairs(d32, hn::BitCast(d16, hn::TableLookupBytesOr0(bytes, taps01)),
                                 LoadWeights<2>(weight));
    const auto b = MultiplyPairs(d32, hn::BitCast(d16, hn::TableLookupBytesOr0(bytes, taps23)),
                                 LoadWeights<2>(weight + 8));
    return hn::ShiftRight<5>(hn::Add(hn::Add(a, b), half));
  };
  constexpr int kPerStep = 2 * static_cast<int>(kPixels);
  for (int x = 0; x < job.dst_w; x += kPerStep) {
    const auto both = hn::ReorderDemote2To(d16, filter(x), filter(x + 1));
    if constexpr (kChannels == 4) {
      hn::StoreU(both, d16, out);
    } else {
      const auto packed =
          hn::BitCast(d16, hn::TableLookupBytesOr0(hn::BitCast(d8, both), pack_bgr));
      const hn::Full128<int16_t> d128;
#if HWY_MAX_BYTES >= 32
      hn::StoreU(hn::LowerHalf(d128, packed), d128, out);
      hn::StoreU(hn::UpperHalf(d128, packed), d128, out + 6);
#else
      hn::StoreU(packed, d128, out);
#endif
    }
    out += kChannels * kPerStep;
  }
}

void FilterGrayRow(const CubicJob& job, int16_t* HWY_RESTRICT out) {
  const hn::ScalableTag<int32_t> d32;
  const hn::Repartition<int16_t, decltype(d32)> d16;
  const hn::Rebind<int16_t, decltype(d32)> d16_half;
  const auto lanes = static_cast<int>(hn::Lanes(d32));
  const auto low_bytes = hn::Set(d16, 0xFF);
  const auto half = hn::Set(d32, 16);
  const int16_t* weight02 = job.x_weight;
  const int16_t* weight13 = job.x_weight + 2 * static_cast<ptrdiff_t>(job.x_weight_pixels);
  HWY_ALIGN int32_t four_taps[hn::MaxLanes(hn::ScalableTag<int32_t>())];
  for (int x = 0; x < job.dst_w; x += lanes) {
    for (int i = 0; i < lanes; ++i) {
      std::memcpy(&four_taps[i], job.padded_row + job.x_offset[x + i], 4);
    }
    const auto bytes = hn::BitCast(d16, hn::Load(d32, four_taps));
    const auto even = hn::And(bytes, low_bytes);
    const auto odd = hn::And(hn::ShiftRight<8>(bytes), low_bytes);
    const auto sum = hn::Add(MultiplyPairs(d32, even, hn::LoadU(d16, weight02 + 2 * x)),
                             MultiplyPairs(d32, odd, hn::LoadU(d16, weight13 + 2 * x)));
    hn::StoreU(hn::DemoteTo(d16_half, hn::ShiftRight<5>(hn::Add(sum, half))), d16_half, out + x);
  }
}

// One destination row from four filtered rows.
void MixRows(const int16_t* const rows[4], const int16_t weight[4], uint8_t* HWY_RESTRICT dst,
             size_t values) {
  const hn::ScalableTag<int16_t> d16;
  const hn::Repartition<int32_t, decltype(d16)> d32;
  const hn::Rebind<uint8_t, decltype(d16)> d8_half;
  const size_t lanes = hn::Lanes(d16);
  const auto pair = [&](int16_t a, int16_t b) HWY_ATTR {
    return hn::BitCast(
        d16,
        hn::Set(d32, static_cast<int32_t>((static_cast<uint32_t>(static_cast<uint16_t>(b)) << 16) |
                                          static_cast<uint16_t>(a))));
  };
  const auto weight01 = pair(weight[0], weight[1]);
  const auto weight23 = pair(weight[2], weight[3]);
  const auto half = hn::Set(d32, 1 << 16);
  const auto mix = [&](size_t i) HWY_ATTR {
    const auto r0 = hn::LoadU(d16, rows[0] + i), r1 = hn::LoadU(d16, rows[1] + i);
    const auto r2 = hn::LoadU(d16, rows[2] + i), r3 = hn::LoadU(d16, rows[3] + i);
    const auto low = hn::Add(MultiplyPairs(d32, hn::InterleaveLower(d16, r0, r1), weight01),
                             MultiplyPairs(d32, hn::InterleaveLower(d16, r2, r3), weight23));
    const auto high = hn::Add(MultiplyPairs(d32, hn::InterleaveUpper(d16, r0, r1), weight01),
                              MultiplyPairs(d32, hn::InterleaveUpper(d16, r2, r3), weight23));
    // The interleave splits each block in two and the demotion joins them again, in order.
    return hn::ReorderDemote2To(d16, hn::ShiftRight<17>(hn::Add(low, half)),
                                hn::ShiftRight<17>(hn::Add(high, half)));
  };
  size_t i = 0;
  for (; i + lanes <= values; i += lanes) {
    hn::StoreU(hn::DemoteTo(d8_half, mix(i)), d8_half, dst + i);
  }
  if (i < values) {
    HWY_ALIGN uint8_t last[hn::MaxLanes(hn::ScalableTag<int16_t>())];
    hn::StoreU(hn::DemoteTo(d8_half, mix(i)), d8_half, last);
    std::memcpy(dst + i, last, values - i);
  }
}

void CopyPadded(const CubicJob& job, int y) {
  const auto channels = static_cast<size_t>(job.channels);
  const size_t bytes = static_cast<size_t>(job.src_w) * channels;
  const uint8_t* src = job.src + y * job.src_stride;
  uint8_t* row = job.padded_row;
  uint8_t* right = row + kCubicPadPx * channels + bytes;
  std::memcpy(row + kCubicPadPx * channels, src, bytes);
  for (size_t p = 0; p < kCubicPadPx; ++p) {
    std::memcpy(row + p * channels, src, channels);
    std::memcpy(right + p * channels, src + bytes - channels, channels);
  }
}

void CubicResize(const CubicJob& job) {
  int row_in_slot[4] = {-1, -1, -1, -1};
  // The vector loads of the last pixels look past the padded row; what they see gets weight 0.
  std::memset(job.padded_row + (job.src_w + 2 * kCubicPadPx) * static_cast<ptrdiff_t>(job.channels),
              0, kRowSlackBytes);
  for (int y = 0; y < job.dst_h; ++y) {
    const int16_t* rows[4];
    for (int t = 0; t < 4; ++t) {
      const int row = std::clamp(job.y_first[y] + t, 0, job.src_h - 1);
      const int slot = row & 3;
      rows[t] = job.filtered[slot];
      if (row_in_slot[slot] == row) continue;
      row_in_slot[slot] = row;
      CopyPadded(job, row);
      switch (job.channels) {
        case 1:
          FilterGrayRow(job, job.filtered[slot]);
          break;
        case 3:
          FilterRow<3>(job, job.filtered[slot]);
          break;
        default:
          FilterRow<4>(job, job.filtered[slot]);
          break;
      }
    }
    MixRows(rows, job.y_weight + 4 * static_cast<ptrdiff_t>(y), job.dst + y * job.dst_stride,
            static_cast<size_t>(job.dst_w) * static_cast<size_t>(job.channels));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lipcast::imaging::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lipcast::imaging::internal {

HWY_EXPORT(CubicResize);

void CubicResizeSimd(const CubicJob& job) { HWY_DYNAMIC_DISPATCH(CubicResize)(job); }

}  // namespace lipcast::imaging::internal
#endif
