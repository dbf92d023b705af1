#pragma once

#include <cstdint>

#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"

namespace lipcast::media {

/// One of the eight ways a picture can lie: transposed first (or not), then mirrored.
struct Orientation {
  bool transpose = false;  ///< rows become columns
  bool flip_x = false;     ///< left and right change places, after the transposition
  bool flip_y = false;     ///< top and bottom change places, after the transposition

  bool upright() const { return !transpose && !flip_x && !flip_y; }
  friend bool operator==(const Orientation&, const Orientation&) = default;
};

/// EXIF tag 0x0112: 1..8; anything else is upright.
Orientation OrientationFromExif(int tag);

/// The 3x3 matrix of an MP4 track header (16.16 fixed point, row-major, as in libav's side data).
/// An angle between the quarter turns goes to the nearest one.
Orientation OrientationFromMatrix(const int32_t matrix[9]);

/// A new picture that stands upright. Every pixel is kept; chroma planes turn with luma.
Result<Picture> MakeUpright(const PictureView& picture, const Orientation& orientation);

}  // namespace lipcast::media
