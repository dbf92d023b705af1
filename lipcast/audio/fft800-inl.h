// The lane-batched real FFT of 800, compiled once per SIMD target. Plan and tables: fft800.h.

#include <hwy/highway.h>

#include <utility>

#include "lipcast/audio/fft800.h"

#if defined(LIPCAST_AUDIO_FFT800_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LIPCAST_AUDIO_FFT800_INL_H_
#undef LIPCAST_AUDIO_FFT800_INL_H_
#else
#define LIPCAST_AUDIO_FFT800_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace lipcast::audio {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using Floats = hn::Vec<FloatTag>;

// One complex number of each lane's frame.
struct Complex {
  Floats re, im;
};

HWY_INLINE Complex operator+(const Complex& a, const Complex& b) {
  return {hn::Add(a.re, b.re), hn::Add(a.im, b.im)};
}
HWY_INLINE Complex operator-(const Complex& a, const Complex& b) {
  return {hn::Sub(a.re, b.re), hn::Sub(a.im, b.im)};
}
// a - i b and a + i b.
HWY_INLINE Complex MinusI(const Complex& a, const Complex& b) {
  return {hn::Add(a.re, b.im), hn::Sub(a.im, b.re)};
}
HWY_INLINE Complex PlusI(const Complex& a, const Complex& b) {
  return {hn::Sub(a.re, b.im), hn::Add(a.im, b.re)};
}
// x + c a
HWY_INLINE Complex AddScaled(const Complex& x, Floats c, const Complex& a) {
  return {hn::MulAdd(c, a.re, x.re), hn::MulAdd(c, a.im, x.im)};
}
// z exp(-i angle)
HWY_INLINE Complex Turn(const Complex& z, const Fft800Tables::Twiddle& w) {
  const FloatTag d;
  const Floats c = hn::Set(d, w.cos), s = hn::Set(d, w.sin);
  return {hn::MulAdd(z.im, s, hn::Mul(z.re, c)), hn::NegMulAdd(z.re, s, hn::Mul(z.im, c))};
}

HWY_INLINE Complex LoadComplex(const float* slots, int slot) {
  const FloatTag d;
  const float* at = slots + static_cast<size_t>(2 * slot) * hn::Lanes(d);
  return {hn::Load(d, at), hn::Load(d, at + hn::Lanes(d))};
}
HWY_INLINE void StoreComplex(const Complex& z, float* slots, int slot) {
  const FloatTag d;
  float* at = slots + static_cast<size_t>(2 * slot) * hn::Lanes(d);
  hn::Store(z.re, d, at);
  hn::Store(z.im, d, at + hn::Lanes(d));
}

HWY_INLINE void Dft4(const Complex (&x)[4], Complex (&y)[4]) {
  const Complex even_sum = x[0] + x[2], even_difference = x[0] - x[2];
  const Complex odd_sum = x[1] + x[3], odd_difference = x[1] - x[3];
  y[0] = even_sum + odd_sum;
  y[1] = MinusI(even_difference, odd_difference);
  y[2] = even_sum - odd_sum;
  y[3] = PlusI(even_difference, odd_difference);
}

HWY_INLINE void Dft5(const Complex (&x)[5], Complex (&y)[5]) {
  const FloatTag d;
  const Floats cos1 = hn::Set(d, 0.30901699437494742f), cos2 = hn::Set(d, -0.80901699437494742f);
  const Floats sin1 = hn::Set(d, 0.95105651629515357f), sin2 = hn::Set(d, 0.58778525229247313f);
  const Complex sum1 = x[1] + x[4], difference1 = x[1] - x[4];
  const Complex sum2 = x[2] + x[3], difference2 = x[2] - x[3];
  const Complex a1 = AddScaled(AddScaled(x[0], cos1, sum1), cos2, sum2);
  const Complex a2 = AddScaled(AddScaled(x[0], cos2, sum1), cos1, sum2);
  const Complex b1{hn::MulAdd(sin1, difference1.re, hn::Mul(sin2, difference2.re)),
                   hn::MulAdd(sin1, difference1.im, hn::Mul(sin2, difference2.im))};
  const Complex b2{hn::MulSub(sin2, difference1.re, hn::Mul(sin1, difference2.re)),
                   hn::MulSub(sin2, difference1.im, hn::Mul(sin1, difference2.im))};
  y[0] = x[0] + (sum1 + sum2);
  y[1] = MinusI(a1, b1);
  y[2] = MinusI(a2, b2);
  y[3] = PlusI(a2, b2);
  y[4] = PlusI(a1, b1);
}

// Calls step(integral_constant 0), ..., step(integral_constant count - 1): loops over registers
// must leave no index behind, or the compiler keeps the numbers in memory.
template <typename Step, size_t... I>
HWY_INLINE void UnrollIndices(const Step& step, std::index_sequence<I...>) {
  (step(std::integral_constant<int, static_cast<int>(I)>()), ...);
}
template <int kCount, typename Step>
HWY_INLINE void Unroll(const Step& step) {
  UnrollIndices(step, std::make_index_sequence<kCount>());
}

// The sixteen-point DFT of what load(0..15) returns, as 4 x 4; bin k goes to slot first_slot + k.
template <typename Load>
HWY_INLINE void Dft16(const Fft800Tables& tables, const Load& load, float* slots, int first_slot) {
  Complex inner[16];
  Unroll<4>([&](auto b) HWY_ATTR {
    const Complex in[4] = {load(b), load(4 + b), load(8 + b), load(12 + b)};
    Complex out[4];
    Dft4(in, out);
    Unroll<4>([&](auto c) HWY_ATTR {
      constexpr int kAt = 4 * c + b;
      if constexpr (b == 0 || c == 0) {
        inner[kAt] = out[c];
      } else {
        inner[kAt] = Turn(out[c], tables.inner16[kAt]);
      }
    });
  });
  Unroll<4>([&](auto c) HWY_ATTR {
    constexpr int kAt = 4 * c;
    const Complex in[4] = {inner[kAt], inner[kAt + 1], inner[kAt + 2], inner[kAt + 3]};
    Complex out[4];
    Dft4(in, out);
    Unroll<4>([&](auto e) HWY_ATTR { StoreComplex(out[e], slots, first_slot + c + 4 * e); });
  });
}

// The 25-point DFT, in place, of the slots `row`, `row + 16`, ... as 5 x 5.
HWY_INLINE void Dft25(const Fft800Tables& tables, float* slots, int row) {
  Complex inner[25];
  Unroll<5>([&](auto b) HWY_ATTR {
    Complex in[5], out[5];
    Unroll<5>([&](auto a) HWY_ATTR { in[a] = LoadComplex(slots, (5 * a + b) * kFactor16 + row); });
    Dft5(in, out);
    Unroll<5>([&](auto c) HWY_ATTR {
      constexpr int kAt = 5 * c + b;
      if constexpr (b == 0 || c == 0) {
        inner[kAt] = out[c];
      } else {
        inner[kAt] = Turn(out[c], tables.inner25[kAt]);
      }
    });
  });
  Unroll<5>([&](auto c) HWY_ATTR {
    Complex in[5], out[5];
    Unroll<5>([&](auto b) HWY_ATTR { in[b] = inner[5 * c + b]; });
    Dft5(in, out);
    Unroll<5>([&](auto e) HWY_ATTR { StoreComplex(out[e], slots, (c + 5 * e) * kFactor16 + row); });
  });
}

HWY_INLINE Floats Magnitude(const Complex& z) {
  return hn::Sqrt(hn::MulAdd(z.re, z.re, hn::Mul(z.im, z.im)));
}

// Reads the complex bins of the paired samples, writes the 401 magnitudes of the real signal.
// The samples must have come in halved: what is split here is twice an average.
HWY_INLINE void SplitMagnitudes(const Fft800Tables& tables, const float* slots,
                                float* HWY_RESTRICT magnitudes) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  const Complex first = LoadComplex(slots, 0);
  const Floats even = hn::Add(first.re, first.re), odd = hn::Add(first.im, first.im);
  hn::Store(hn::Abs(hn::Add(even, odd)), d, magnitudes);
  hn::Store(hn::Abs(hn::Sub(even, odd)), d, magnitudes + kPairs * lanes);
  const Complex middle = LoadComplex(slots, tables.output_slot[kPairs / 2]);
  hn::Store(Magnitude(middle + middle), d, magnitudes + (kPairs / 2) * lanes);
  for (int k = 1; k < kPairs / 2; ++k) {
    const Complex z = LoadComplex(slots, tables.output_slot[k]);
    const Complex mirrored = LoadComplex(slots, tables.output_slot[kPairs - k]);
    const Complex even_part{hn::Add(z.re, mirrored.re), hn::Sub(z.im, mirrored.im)};
    const Complex odd_part{hn::Add(z.im, mirrored.im), hn::Sub(mirrored.re, z.re)};
    const Complex turned = Turn(odd_part, tables.split[k]);
    hn::Store(Magnitude(even_part + turned), d, magnitudes + static_cast<size_t>(k) * lanes);
    hn::Store(Magnitude(even_part - turned), d,
              magnitudes + static_cast<size_t>(kPairs - k) * lanes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lipcast::audio
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
