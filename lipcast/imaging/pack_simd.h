#pragma once

#include <cstddef>
#include <cstdint>

namespace lipcast::imaging::internal {

/// `side` rows of interleaved BGR -> three planes of float(v) / 255, stored twice. Plane c goes to
/// first + c * side * side and to second + c * side * side.
void PackPlanesSimd(const uint8_t* bgr, ptrdiff_t stride, int side, float* first, float* second);

/// Three planes -> `side` rows of interleaved BGR. False when any value was NaN or infinite; the
/// pixels written for those are then undefined.
bool UnpackPlanesSimd(const float* planes, int side, uint8_t* bgr, ptrdiff_t stride);

}  // namespace lipcast::imaging::internal
