#pragma once

#include <cstdint>

namespace lipcast::imaging::internal {

// The fixed point of BT.709 limited range: Kr = 0.2126, Kb = 0.0722, luma 219 and chroma 224 of
// 255 levels. "High" products keep the upper 16 of 32 bits, rounded ones divide by 2^15.

// To BGR, 6 fractional bits. Luma enters as Y << 8, chroma as (C - 128) << 8.
inline constexpr uint16_t kLumaGain = 19077;   // 255/219 * 2^14, a high product
inline constexpr int16_t kBlueFromU = 17305;   // 2.112402 * 2^13, rounded products from here
inline constexpr int16_t kGreenFromU = -1747;  // -0.213249 * 2^13
inline constexpr int16_t kGreenFromV = -4366;  // -0.532909 * 2^13
inline constexpr int16_t kRedFromV = 14686;    // 1.792741 * 2^13
// Level 256 is put at 2^15, so that 16-bit saturation is the upper clamp. Less black level
// (16 * 255/219 * 64), plus half a level and the half bit that the high product loses on average.
inline constexpr int16_t kBgrZero = 16384;
inline constexpr int16_t kChromaBias = kBgrZero - 1192 + 32;

// To Y, 8 fractional bits, high products of level << 8.
inline constexpr uint16_t kYFromBlue = 4064;    // 0.0722 * 219/255 * 2^16
inline constexpr uint16_t kYFromGreen = 40254;  // 0.7152
inline constexpr uint16_t kYFromRed = 11966;    // 0.2126
inline constexpr uint16_t kYBias = 16 * 256 + 128 + 1;

// To U and V, 7 fractional bits, rounded products of (sum of four levels) << 5.
inline constexpr int16_t kUFromBlue = 14392;  // 0.439216 * 2^15
inline constexpr int16_t kUFromGreen = -11094;
inline constexpr int16_t kUFromRed = -3298;
inline constexpr int16_t kVFromBlue = -1320;
inline constexpr int16_t kVFromGreen = -13072;
inline constexpr int16_t kVFromRed = 14392;
inline constexpr int16_t kChromaZero = 128 * 128 + 64;

}  // namespace lipcast::imaging::internal
