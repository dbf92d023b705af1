#include "lipcast/audio/mel_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lipcast/audio/mel_kernels_simd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "lipcast/audio/fft800-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lipcast::audio {
namespace HWY_NAMESPACE {

// Turns `hops` rows of `hop` samples into `hop` columns: turned[n * hops + r] = samples[r * hop +
// n]. The lanes of sample n of a batch's frames are then neighbours, and so are those of n + hop.
HWY_INLINE void TurnSamples(const float* HWY_RESTRICT samples, int hops, int hop,
                            float* HWY_RESTRICT turned) {
  const hn::FixedTag<float, 4> f4;
  const hn::FixedTag<uint64_t, 2> u2;
  for (int r = 0; r < hops; r += 4) {
    const float* row = samples + static_cast<size_t>(r) * hop;
    for (int n = 0; n < hop; n += 4) {
      const auto a = hn::LoadU(f4, row + n);
      const auto b = hn::LoadU(f4, row + hop + n);
      const auto c = hn::LoadU(f4, row + 2 * hop + n);
      const auto e = hn::LoadU(f4, row + 3 * hop + n);
      const auto ab_low = hn::BitCast(u2, hn::InterleaveLower(f4, a, b));
      const auto ab_high = hn::BitCast(u2, hn::InterleaveUpper(f4, a, b));
      const auto ce_low = hn::BitCast(u2, hn::InterleaveLower(f4, c, e));
      const auto ce_high = hn::BitCast(u2, hn::InterleaveUpper(f4, c, e));
      float* to = turned + static_cast<size_t>(n) * hops + r;
      hn::StoreU(hn::BitCast(f4, hn::InterleaveLower(u2, ab_low, ce_low)), f4, to);
      hn::StoreU(hn::BitCast(f4, hn::InterleaveUpper(u2, ab_low, ce_low)), f4, to + hops);
      hn::StoreU(hn::BitCast(f4, hn::InterleaveLower(u2, ab_high, ce_high)), f4, to + 2 * hops);
      hn::StoreU(hn::BitCast(f4, hn::InterleaveUpper(u2, ab_high, ce_high)), f4, to + 3 * hops);
    }
  }
}

void Stft(const StftPlan& plan, const float* samples, float* scratch, float* magnitudes) {
  const FloatTag d;
  const Fft800Tables& tables = GetFft800Tables();
  float* slots = scratch;
  float* turned = scratch + static_cast<size_t>(kFftSize) * hn::Lanes(d);
  TurnSamples(samples, plan.hops, plan.hop_samples, turned);

  const int32_t* offset = plan.column_offset.data();
  const float* window = plan.window.data();
  const int hops = plan.hops;
  for (int n2 = 0; n2 < kFactor25; ++n2) {
    const auto load = [=](int n1) HWY_ATTR {
      const float* column = turned + offset[n1];
      return Complex{hn::Mul(hn::LoadU(d, column), hn::Set(d, window[2 * n1])),
                     hn::Mul(hn::LoadU(d, column + hops), hn::Set(d, window[2 * n1 + 1]))};
    };
    Dft16(tables, load, slots, n2 * kFactor16);
    offset += kFactor16;
    window += 2 * kFactor16;
  }
  for (int k1 = 0; k1 < kFactor16; ++k1) Dft25(tables, slots, k1);
  SplitMagnitudes(tables, slots, magnitudes);
}

void Filterbank(const FlatBank& bank, const float* magnitudes, float* mel) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  const float* weight = bank.weights.data();
  for (int b = 0; b < bank.bands(); ++b) {
    const float* end = bank.weights.data() + bank.weight_end[b];
    const float* bin = magnitudes + static_cast<size_t>(bank.first_bin[b]) * lanes;
    // Two sums, so that additions need not wait for each other.
    Floats even = hn::Zero(d), odd = hn::Zero(d);
    static_assert(FlatBank::kWeightStep == 4);
    for (; weight != end; weight += 4, bin += 4 * lanes) {
      even = hn::MulAdd(hn::Set(d, weight[0]), hn::Load(d, bin), even);
      odd = hn::MulAdd(hn::Set(d, weight[1]), hn::Load(d, bin + lanes), odd);
      even = hn::MulAdd(hn::Set(d, weight[2]), hn::Load(d, bin + 2 * lanes), even);
      odd = hn::MulAdd(hn::Set(d, weight[3]), hn::Load(d, bin + 3 * lanes), odd);
    }
    hn::Store(hn::Add(even, odd), d, mel + static_cast<size_t>(b) * lanes);
  }
}

// log2 of a normal positive number, to about 1e-7: the mantissa m in [sqrt(1/2), sqrt(2)) by the
// series of the inverse hyperbolic tangent of (m - 1) / (m + 1).
HWY_INLINE Floats Log2(Floats x) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  const auto bits = hn::BitCast(di, x);
  const auto exponent = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, 0x3f3504f3)));
  const Floats m = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(exponent)));
  const Floats one = hn::Set(d, 1.0f);
  const Floats t = hn::Div(hn::Sub(m, one), hn::Add(m, one));
  const Floats t2 = hn::Mul(t, t);
  constexpr float kTwoOverLn2 = 2.8853900817779268f;
  Floats series = hn::Set(d, kTwoOverLn2 / 9);
  series = hn::MulAdd(series, t2, hn::Set(d, kTwoOverLn2 / 7));
  series = hn::MulAdd(series, t2, hn::Set(d, kTwoOverLn2 / 5));
  series = hn::MulAdd(series, t2, hn::Set(d, kTwoOverLn2 / 3));
  series = hn::MulAdd(series, t2, hn::Set(d, kTwoOverLn2));
  return hn::MulAdd(series, t, hn::ConvertTo(d, exponent));
}

void Log(int bands, float* mel) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  const Floats floor = hn::Set(d, static_cast<float>(kMagnitudeFloor));
  const Floats db_per_octave = hn::Set(d, 6.0205999132796239f);
  const Floats reference_db = hn::Set(d, static_cast<float>(kReferenceDb));
  for (int b = 0; b < bands; ++b) {
    float* row = mel + static_cast<size_t>(b) * lanes;
    const Floats m = hn::Load(d, row);
    // The comparison is false for a NaN, which so becomes the floor.
    const Floats floored = hn::IfThenElse(hn::Gt(m, floor), m, floor);
    hn::Store(hn::MulSub(db_per_octave, Log2(floored), reference_db), d, row);
  }
}

void Normalise(int bands, const float* db, float* out, ptrdiff_t out_stride) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  const Floats scale = hn::Set(d, static_cast<float>(2 * kMaxLogMel / kRangeDb));
  const Floats shift = hn::Set(d, static_cast<float>(kMaxLogMel));
  const Floats low = hn::Set(d, -static_cast<float>(kMaxLogMel));
  for (int b = 0; b < bands; ++b) {
    const Floats s = hn::Load(d, db + static_cast<size_t>(b) * lanes);
    hn::StoreU(hn::Min(hn::Max(hn::MulAdd(s, scale, shift), low), shift), d, out + b * out_stride);
  }
}

MelKernels Kernels() {
  return {HWY_TARGET, static_cast<int>(hn::Lanes(FloatTag())), Stft, Filterbank, Log, Normalise};
}

}  // namespace HWY_NAMESPACE
}  // namespace lipcast::audio
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lipcast::audio {
HWY_EXPORT(Kernels);

MelKernels ChooseMelKernels() { return HWY_DYNAMIC_DISPATCH(Kernels)(); }

}  // namespace lipcast::audio
#endif
