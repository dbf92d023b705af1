#include "lipcast/cli/contact_sheet.h"

#include <algorithm>
#include <cstring>

#include "lipcast/base/rational.h"
#include "lipcast/imaging/compose.h"

namespace lipcast::cli {
namespace {

constexpr int kColumns = 4, kMaxFrames = 20, kThumbWidthPx = 320, kGapPx = 4;

void DrawBox(const Rect& box, int thickness, const MutablePictureView& view) {
  for (int y = std::max(0, box.y0); y < std::min(view.height, box.y1); ++y) {
    for (int x = std::max(0, box.x0); x < std::min(view.width, box.x1); ++x) {
      const bool inside = x >= box.x0 + thickness && x < box.x1 - thickness &&
                          y >= box.y0 + thickness && y < box.y1 - thickness;
      if (inside) continue;
      uint8_t* pixel = view.plane[0] + y * view.stride[0] + 3 * x;
      pixel[0] = 60, pixel[1] = 200, pixel[2] = 80;
    }
  }
}

}  // namespace

Result<Picture> DrawContactSheet(const avatar::Avatar& avatar) {
  const avatar::Manifest& manifest = avatar.manifest();
  const auto count = static_cast<int>(std::min<int64_t>(kMaxFrames, manifest.frame_count));
  const int columns = std::min(kColumns, count), rows = (count + columns - 1) / columns;
  const int thumb_w = std::min(kThumbWidthPx, manifest.width);
  const int thumb_h = std::clamp(manifest.height * thumb_w / manifest.width, 1, 1600);
  LC_ASSIGN_OR_RETURN(Picture sheet,
                      Picture::Create(PixelFormat::kBgr24, columns * (thumb_w + kGapPx) + kGapPx,
                                      rows * (thumb_h + kGapPx) + kGapPx));
  std::memset(sheet.data(), 0x30, sheet.size_bytes());
  LC_ASSIGN_OR_RETURN(Picture bgr,
                      Picture::Create(PixelFormat::kBgr24, manifest.width, manifest.height));
  imaging::Scratch scratch;
  for (int i = 0; i < count; ++i) {
    const int64_t index = MulDivFloor(i, manifest.frame_count, count);
    LC_ASSIGN_OR_RETURN(const auto frame, avatar.Frame(index));
    LC_RETURN_IF_ERROR(imaging::ConvertPicture(frame->view(), bgr.mutable_view(), scratch));
    if (const auto box = avatar.box(index)) {
      DrawBox(*box, std::max(1, manifest.width / 320), bgr.mutable_view());
    }
    const int x = kGapPx + i % columns * (thumb_w + kGapPx);
    const int y = kGapPx + i / columns * (thumb_h + kGapPx);
    LC_RETURN_IF_ERROR(imaging::ResizePicture(
        bgr.view(), Crop(sheet.mutable_view(), {x, y, x + thumb_w, y + thumb_h}), scratch));
  }
  return sheet;
}

}  // namespace lipcast::cli
