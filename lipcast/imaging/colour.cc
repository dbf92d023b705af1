#include "lipcast/imaging/colour.h"

#include "lipcast/imaging/colour_simd.h"

namespace lipcast::imaging {

void I420ToBgr(const PictureView& src, const MutablePictureView& dst) {
  internal::I420ToBgrSimd(src, dst);
}
void BgrToI420(const PictureView& src, const MutablePictureView& dst) {
  internal::BgrToI420Simd(src, dst);
}
void BgraToBgr(const PictureView& src, const MutablePictureView& dst) {
  internal::BgraToBgrSimd(src, dst);
}
void BgrIntoBgra(const PictureView& src, const MutablePictureView& dst) {
  internal::BgrIntoBgraSimd(src, dst);
}

}  // namespace lipcast::imaging
