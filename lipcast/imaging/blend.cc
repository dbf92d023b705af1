#include "lipcast/imaging/blend.h"

#include <algorithm>

namespace lipcast::imaging {
namespace {

uint8_t DivideBy255(int value) { return static_cast<uint8_t>((value + 127) / 255); }

}  // namespace

uint8_t MixByteReference(uint8_t picture, uint8_t fresh, uint8_t weight) {
  return DivideBy255(picture * (255 - weight) + fresh * weight);
}

uint8_t MixWeightReference(uint8_t across, uint8_t down, uint8_t mask, uint8_t scale) {
  return DivideBy255(DivideBy255(std::min(across, down) * mask) * scale);
}

}  // namespace lipcast::imaging
