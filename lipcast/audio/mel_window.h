#pragma once

#include <cfloat>
#include <cstdint>
#include <numeric>

#include "lipcast/base/rational.h"

namespace lipcast::audio {

/// Which mel frames belong to which video frame. Source: docs/numerics.md 2.

/// Mel frames in one window.
inline constexpr int kWindowFrames = 16;
/// Mel frames in one second (16 kHz, hop 200).
inline constexpr int kMelFramesPerSecond = 80;
/// The rate the models run at.
inline constexpr Rational kModelFps{25, 1};

/// First mel frame of the window of video frame i >= 0 at `fps`: floor(i * mel_per_s / fps).
constexpr int64_t WindowStart(int64_t i, int64_t mel_per_s, const Rational& fps) {
  return static_cast<int64_t>(static_cast<Int128>(i) * mel_per_s * fps.den / fps.num);
}

/// The same at the models' rate: 0, 3, 6, 9, 12, 16, 19, ...
constexpr int64_t WindowStart(int64_t i) {
  // 80 / 25 = 16 / 5; by parts, so that no index overflows and no division remains.
  constexpr int64_t kCommon = std::gcd(int64_t{kMelFramesPerSecond}, kModelFps.num);
  constexpr int64_t kMel = kMelFramesPerSecond / kCommon, kVideo = kModelFps.num / kCommon;
  static_assert(kModelFps.den == 1);
  return i / kVideo * kMel + i % kVideo * kMel / kVideo;
}

/// How many mel frames must be ready before window i can be viewed.
constexpr int64_t WindowEnd(int64_t i) { return WindowStart(i) + kWindowFrames; }

/// How many windows the Python reference makes of `mel_frames`: one past the last that fits.
/// 0 below 16 frames, where the reference raises. The reference computes in doubles, and in 1026
/// of the lengths below 200000 (the first is 384) its product falls just under a whole number, so
/// that it makes one window fewer than exact arithmetic would. This is its sum, rounding included.
constexpr int64_t WindowCountReference(int64_t mel_frames) {
  static_assert(FLT_EVAL_METHOD == 0, "the reference rounds to double after each operation");
  if (mel_frames < kWindowFrames) return 0;
  return static_cast<int64_t>(static_cast<double>(mel_frames - kWindowFrames) / 80.0 * 25.0) + 2;
}

/// How many windows Wav2Lip's script makes of `mel_frames`: those that fit, and one that is moved
/// back to end with the last frame. 0 below 16 frames, where it fails.
constexpr int64_t WindowCountWav2Lip(int64_t mel_frames) {
  if (mel_frames < kWindowFrames) return 0;
  // floor(16 i / 5) <= last, the first frame of the last window that fits.
  const int64_t last = mel_frames - kWindowFrames;
  return (5 * (last + 1) - 1) / 16 + 2;
}

/// Where the reference's window i starts: as WindowStart, moved back so that it ends inside.
constexpr int64_t WindowStartReference(int64_t i, int64_t mel_frames) {
  const int64_t last = mel_frames - kWindowFrames;
  return WindowStart(i) < last ? WindowStart(i) : last;
}

}  // namespace lipcast::audio
