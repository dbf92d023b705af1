#pragma once

#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>

#include "lipcast/base/status.h"

namespace lipcast {

/// An exact frame rate, e.g. 25/1 or 30000/1001. num and den are > 0.
struct Rational {
  int64_t num = 25;
  int64_t den = 1;

  double value() const { return static_cast<double>(num) / static_cast<double>(den); }
  std::string ToString() const {
    return den == 1 ? std::to_string(num) : std::to_string(num) + "/" + std::to_string(den);
  }
  friend bool operator==(const Rational& a, const Rational& b) {
    return a.num * b.den == b.num * a.den;
  }
};

/// Reads "25", "29.97" (= 2997/100), "30000/1001". The rate must lie in 1..120 frames/s.
Result<Rational> ParseFrameRate(std::string_view text);

__extension__ typedef __int128 Int128;  // NOLINT: -Wpedantic has no spelling for this in `using`

/// floor(a * b / c) without overflow, for a >= 0, b >= 0, c > 0.
inline int64_t MulDivFloor(int64_t a, int64_t b, int64_t c) {
  return static_cast<int64_t>(static_cast<Int128>(a) * b / c);
}
inline int64_t MulDivCeil(int64_t a, int64_t b, int64_t c) {
  return static_cast<int64_t>((static_cast<Int128>(a) * b + c - 1) / c);
}

/// The one timeline. Frame i of a stream at `fps` owns the samples
/// [FirstSample(i), FirstSample(i + 1)) of a `rate_hz` signal.
inline int64_t FirstSample(int64_t frame, int64_t rate_hz, const Rational& fps) {
  return MulDivFloor(frame, rate_hz * fps.den, fps.num);
}
/// ceil(samples / rate * fps): how many frames a signal of that length has.
inline int64_t FramesFor(int64_t samples, int64_t rate_hz, const Rational& fps) {
  return MulDivCeil(samples, fps.num, rate_hz * fps.den);
}
/// Which frame of a stream at `to` is shown at the time frame i of a stream at `from` begins.
inline int64_t MapFrame(int64_t frame, const Rational& from, const Rational& to) {
  return MulDivFloor(frame, from.den * to.num, from.num * to.den);
}

}  // namespace lipcast
