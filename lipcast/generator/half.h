#pragma once

#include <cstdint>
#include <span>

namespace lipcast::generator {

/// IEEE half precision as bits, the same on every CPU: rounded to the nearest, ties to even;
/// magnitudes below 2^-14 become 0. False where a value is NaN or beyond 65504; `to` then holds
/// nothing of use. Shape: as many in as out.
bool ToHalf(std::span<const float> from, std::span<uint16_t> to);
void FromHalf(std::span<const uint16_t> from, std::span<float> to);

}  // namespace lipcast::generator
