#include "lipcast/imaging/compose.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "lipcast/imaging/blend.h"
#include "lipcast/imaging/colour.h"

namespace lipcast::imaging {
namespace {

using Use = Scratch::Use;

std::string SizeText(int w, int h) { return std::to_string(w) + "x" + std::to_string(h); }

const char* FormatName(PixelFormat format) {
  switch (format) {
    case PixelFormat::kBgr24:
      return "bgr24";
    case PixelFormat::kBgra32:
      return "bgra32";
    case PixelFormat::kI420:
      return "i420";
    case PixelFormat::kGray8:
      return "gray8";
  }
  return "unknown";
}

Status CheckFrame(const PictureView& frame, const Rect& box) {
  if (frame.format == PixelFormat::kGray8) {
    return Status(Code::kInvalidArgument, "frame format gray8: want bgr24, bgra32 or i420");
  }
  if (box.empty() || box.x0 < 0 || box.y0 < 0 || box.x1 > frame.width || box.y1 > frame.height) {
    return Status(Code::kInvalidArgument,
                  "box columns " + std::to_string(box.x0) + ".." + std::to_string(box.x1) +
                      ", rows " + std::to_string(box.y0) + ".." + std::to_string(box.y1) +
                      ": want it inside the picture of " + SizeText(frame.width, frame.height));
  }
  return {};
}

// The whole 2x2 blocks that a box touches, within the picture.
Rect WholeBlocks(const Rect& box, int width, int height) {
  return {box.x0 & ~1, box.y0 & ~1, std::min((box.x1 + 1) & ~1, width),
          std::min((box.y1 + 1) & ~1, height)};
}

// `rect` begins at even coordinates.
template <typename View>
View CropI420(View view, const Rect& rect) {
  view.plane[0] += rect.y0 * view.stride[0] + rect.x0;
  for (int p : {1, 2}) view.plane[p] += rect.y0 / 2 * view.stride[p] + rect.x0 / 2;
  view.width = rect.width();
  view.height = rect.height();
  return view;
}

Rect Moved(const Rect& rect, const Rect& origin) {
  return {rect.x0 - origin.x0, rect.y0 - origin.y0, rect.x1 - origin.x0, rect.y1 - origin.y0};
}

MutablePictureView ScratchPicture(Scratch& scratch, Use use, PixelFormat format, int w, int h) {
  return PackedView(format, w, h, scratch.Bytes(use, PictureBytes(format, w, h)).data());
}

uint8_t ShareOf(float weight) { return static_cast<uint8_t>(std::lround(weight * 255.0f)); }

}  // namespace

struct MouthCompositor::Shares {
  const uint8_t* across;  // box_w * channels: by the distance to the left and right edges
  const uint8_t* down;    // box_h: by the distance to the upper and lower edges
  const uint8_t* mask;    // box_h rows of box_w * channels, or null
  size_t row_bytes;
  uint8_t weight;

  void Row(int y, uint8_t* to) const {
    MixWeights(across, down[y], mask == nullptr ? nullptr : mask + y * row_bytes, weight, to,
               row_bytes);
  }
};

Result<MouthCompositor> MouthCompositor::Create(const avatar::MouthLayout& layout,
                                                const PictureView* mask) {
  if (layout.inner_px < 1 || layout.border_px < 0 || layout.inner_px > kMaxSidePx ||
      layout.border_px > kMaxSidePx || layout.resized_px() > kMaxSidePx) {
    return Status(Code::kInvalidArgument,
                  "mouth layout: inner_px = " + std::to_string(layout.inner_px) +
                      ", border_px = " + std::to_string(layout.border_px) +
                      ": want 1.. and 0.., together at most " + std::to_string(kMaxSidePx));
  }
  if (layout.feather_px < 0 || layout.feather_px > layout.inner_px / 2) {
    return Status(Code::kInvalidArgument,
                  "mouth layout: feather_px = " + std::to_string(layout.feather_px) + ": want 0.." +
                      std::to_string(layout.inner_px / 2));
  }
  MouthCompositor compositor;
  compositor.layout_ = layout;
  if (mask != nullptr) {
    if (mask->format != PixelFormat::kGray8 || mask->width != layout.inner_px ||
        mask->height != layout.inner_px) {
      return Status(Code::kInvalidArgument, std::string("mouth mask: ") + FormatName(mask->format) +
                                                " " + SizeText(mask->width, mask->height) +
                                                ": want gray8 " +
                                                SizeText(layout.inner_px, layout.inner_px));
    }
    const int side = layout.resized_px();
    LC_ASSIGN_OR_RETURN(Picture gray, Picture::Create(PixelFormat::kGray8, side, side));
    LC_ASSIGN_OR_RETURN(Picture bgr, Picture::Create(PixelFormat::kBgr24, side, side));
    // Its edge is repeated outward, so that resizing does not thin it; the shares end it there.
    const auto nearest = [&](int at) {
      return std::clamp(at - layout.border_px, 0, layout.inner_px - 1);
    };
    for (int y = 0; y < side; ++y) {
      const uint8_t* from = mask->plane[0] + nearest(y) * mask->stride[0];
      uint8_t* to = gray.data() + static_cast<ptrdiff_t>(y) * side;
      for (int x = 0; x < side; ++x) to[x] = from[nearest(x)];
    }
    for (size_t i = 0; i < bgr.size_bytes(); ++i) bgr.data()[i] = gray.data()[i / 3];
    compositor.mask_gray_ = std::move(gray);
    compositor.mask_bgr_ = std::move(bgr);
  }
  return compositor;
}

bool MouthCompositor::IsExact(float weight) const {
  return layout_.feather_px == 0 && !mask_gray_ && ShareOf(weight) == 255;
}

Status MouthCompositor::CheckResized(const PictureView& resized) const {
  const int side = layout_.resized_px();
  if (resized.format != PixelFormat::kBgr24 || resized.width != side || resized.height != side) {
    return Status(Code::kInvalidArgument, std::string("resized mouth picture: ") +
                                              FormatName(resized.format) + " " +
                                              SizeText(resized.width, resized.height) +
                                              ": want bgr24 " + SizeText(side, side));
  }
  return {};
}

Result<MouthCompositor::Shares> MouthCompositor::MakeShares(int box_w, int box_h, int channels,
                                                            float weight, Scratch& scratch) const {
  const size_t row_bytes = static_cast<size_t>(box_w) * channels;
  uint8_t* across = scratch.Bytes(Use::kRamp, row_bytes + box_h).data();
  uint8_t* down = across + row_bytes;
  const bool whole_box = layout_.feather_px == 0 && !mask_gray_;
  // Of pixel i of `count`, where the inner square spans the middle of resized_px.
  const auto share = [&](int i, int count) -> uint8_t {
    if (whole_box) return 255;
    const float at = (static_cast<float>(i) + 0.5f) * static_cast<float>(layout_.resized_px()) /
                         static_cast<float>(count) -
                     static_cast<float>(layout_.border_px);
    const float inside = std::min(at, static_cast<float>(layout_.inner_px) - at);
    if (inside <= 0) return 0;
    if (layout_.feather_px == 0) return 255;
    return ShareOf(std::min(inside / static_cast<float>(layout_.feather_px), 1.0f));
  };
  for (int x = 0; x < box_w; ++x) std::fill_n(across + x * channels, channels, share(x, box_w));
  for (int y = 0; y < box_h; ++y) down[y] = share(y, box_h);

  const uint8_t* mask = nullptr;
  if (mask_gray_) {
    const Picture& from = channels == 1 ? *mask_gray_ : *mask_bgr_;
    const MutablePictureView to = ScratchPicture(scratch, Use::kMask, from.format(), box_w, box_h);
    LC_RETURN_IF_ERROR(scratch.Resize(from.view(), to, channels));
    mask = to.plane[0];
  }
  return Shares{across, down, mask, row_bytes, ShareOf(weight)};
}

Status MouthCompositor::CropResized(const PictureView& frame, const Rect& box,
                                    const MutablePictureView& resized, Scratch& scratch) const {
  LC_RETURN_IF_ERROR(CheckFrame(frame, box));
  LC_RETURN_IF_ERROR(CheckResized(resized));
  switch (frame.format) {
    case PixelFormat::kBgra32: {
      const MutablePictureView bgr =
          ScratchPicture(scratch, Use::kArea, PixelFormat::kBgr24, box.width(), box.height());
      BgraToBgr(Crop(frame, box), bgr);
      return scratch.Resize(bgr, resized, 3, layout_.kernel);
    }
    case PixelFormat::kI420: {
      const Rect area = WholeBlocks(box, frame.width, frame.height);
      const MutablePictureView bgr =
          ScratchPicture(scratch, Use::kArea, PixelFormat::kBgr24, area.width(), area.height());
      I420ToBgr(CropI420(frame, area), bgr);
      return scratch.Resize(Crop(bgr, Moved(box, area)), resized, 3, layout_.kernel);
    }
    default:
      return scratch.Resize(Crop(frame, box), resized, 3, layout_.kernel);
  }
}

Status MouthCompositor::Paste(const PictureView& resized, const Rect& box, float weight,
                              const MutablePictureView& frame, Scratch& scratch) const {
  LC_RETURN_IF_ERROR(CheckFrame(frame, box));
  LC_RETURN_IF_ERROR(CheckResized(resized));
  if (!(weight >= 0.0f && weight <= 1.0f)) {
    return Status(Code::kInvalidArgument,
                  "mouth weight = " + std::to_string(weight) + ": want 0..1");
  }
  if (ShareOf(weight) == 0) return {};
  switch (frame.format) {
    case PixelFormat::kBgra32:
      return PasteBgra(resized, box, weight, frame, scratch);
    case PixelFormat::kI420:
      return PasteI420(resized, box, weight, frame, scratch);
    default:
      return PasteBgr(resized, box, weight, frame, scratch);
  }
}

Status MouthCompositor::PasteBgr(const PictureView& resized, const Rect& box, float weight,
                                 const MutablePictureView& frame, Scratch& scratch) const {
  const MutablePictureView target = Crop(frame, box);
  if (IsExact(weight)) return scratch.Resize(resized, target, 3, layout_.kernel);
  const MutablePictureView fresh =
      ScratchPicture(scratch, Use::kFresh, PixelFormat::kBgr24, box.width(), box.height());
  LC_RETURN_IF_ERROR(scratch.Resize(resized, fresh, 3, layout_.kernel));
  LC_ASSIGN_OR_RETURN(const Shares shares,
                      MakeShares(box.width(), box.height(), 3, weight, scratch));
  uint8_t* row = scratch.Bytes(Use::kWeights, shares.row_bytes).data();
  for (int y = 0; y < box.height(); ++y) {
    shares.Row(y, row);
    MixBytes(fresh.plane[0] + y * fresh.stride[0], row, target.plane[0] + y * target.stride[0],
             shares.row_bytes);
  }
  return {};
}

Status MouthCompositor::PasteBgra(const PictureView& resized, const Rect& box, float weight,
                                  const MutablePictureView& frame, Scratch& scratch) const {
  const MutablePictureView target = Crop(frame, box);
  const MutablePictureView bgr =
      ScratchPicture(scratch, Use::kArea, PixelFormat::kBgr24, box.width(), box.height());
  BgraToBgr(target, bgr);
  LC_RETURN_IF_ERROR(PasteBgr(resized, {0, 0, box.width(), box.height()}, weight, bgr, scratch));
  BgrIntoBgra(bgr, target);
  return {};
}

Status MouthCompositor::PasteI420(const PictureView& resized, const Rect& box, float weight,
                                  const MutablePictureView& frame, Scratch& scratch) const {
  const Rect area = WholeBlocks(box, frame.width, frame.height);
  const Rect inside = Moved(box, area);
  const MutablePictureView target = CropI420(frame, area);
  const MutablePictureView bgr =
      ScratchPicture(scratch, Use::kArea, PixelFormat::kBgr24, area.width(), area.height());
  const MutablePictureView fresh =
      ScratchPicture(scratch, Use::kAreaI420, PixelFormat::kI420, area.width(), area.height());
  I420ToBgr(target, bgr);
  LC_RETURN_IF_ERROR(scratch.Resize(resized, Crop(bgr, inside), 3, layout_.kernel));
  BgrToI420(bgr, fresh);

  const auto luma = [&](const MutablePictureView& view, int y) {
    return view.plane[0] + y * view.stride[0] + inside.x0;
  };
  const auto box_w = static_cast<size_t>(box.width());
  const int chroma_w = (area.width() + 1) / 2, chroma_h = (area.height() + 1) / 2;
  if (IsExact(weight)) {
    for (int y = inside.y0; y < inside.y1; ++y) std::copy_n(luma(fresh, y), box_w, luma(target, y));
    for (int p : {1, 2}) {
      for (int y = 0; y < chroma_h; ++y) {
        std::copy_n(fresh.plane[p] + y * fresh.stride[p], chroma_w,
                    target.plane[p] + y * target.stride[p]);
      }
    }
    return {};
  }

  LC_ASSIGN_OR_RETURN(const Shares shares,
                      MakeShares(box.width(), box.height(), 1, weight, scratch));
  uint8_t* share = scratch.Bytes(Use::kWeights, box_w * box.height() + chroma_w).data();
  uint8_t* chroma_share = share + box_w * box.height();
  for (int y = 0; y < box.height(); ++y) {
    shares.Row(y, share + y * box_w);
    MixBytes(luma(fresh, y + inside.y0), share + y * box_w, luma(target, y + inside.y0), box_w);
  }
  for (int y = 0; y < chroma_h; ++y) {
    const int rows[2] = {std::max(2 * y, inside.y0), std::min(2 * y + 2, inside.y1)};
    for (int x = 0; x < chroma_w; ++x) {
      // The mean share of the block's pixels that lie in the box; the others are in `fresh`.
      const int columns[2] = {std::max(2 * x, inside.x0), std::min(2 * x + 2, inside.x1)};
      int sum = 0;
      for (int by = rows[0]; by < rows[1]; ++by) {
        for (int bx = columns[0]; bx < columns[1]; ++bx) {
          sum += share[(by - inside.y0) * box_w + (bx - inside.x0)];
        }
      }
      const int count = (rows[1] - rows[0]) * (columns[1] - columns[0]);
      chroma_share[x] = static_cast<uint8_t>((sum + count / 2) / count);
    }
    for (int p : {1, 2}) {
      MixBytes(fresh.plane[p] + y * fresh.stride[p], chroma_share,
               target.plane[p] + y * target.stride[p], static_cast<size_t>(chroma_w));
    }
  }
  return {};
}

Status ConvertPicture(const PictureView& src, const MutablePictureView& dst, Scratch& scratch) {
  using enum PixelFormat;
  if (src.width != dst.width || src.height != dst.height) {
    return Status(Code::kInvalidArgument, "conversion of " + SizeText(src.width, src.height) +
                                              " to " + SizeText(dst.width, dst.height) +
                                              ": want equal sizes");
  }
  if (src.format == dst.format) {
    CopyPicture(src, dst);
  } else if (src.format == kI420 && dst.format == kBgr24) {
    I420ToBgr(src, dst);
  } else if (src.format == kBgr24 && dst.format == kI420) {
    BgrToI420(src, dst);
  } else if (src.format == kBgra32 && dst.format == kBgr24) {
    BgraToBgr(src, dst);
  } else if (src.format == kBgra32 && dst.format == kI420) {
    const MutablePictureView flat =
        ScratchPicture(scratch, Use::kArea, kBgr24, src.width, src.height);
    BgraToBgr(src, flat);
    BgrToI420(flat, dst);
  } else {
    return Status(Code::kInvalidArgument, std::string("conversion of ") + FormatName(src.format) +
                                              " to " + FormatName(dst.format) +
                                              ": want bgr24, bgra32 or i420 to bgr24 or i420");
  }
  return {};
}

Status ResizePicture(const PictureView& src, const MutablePictureView& dst, Scratch& scratch) {
  if (src.format != dst.format) {
    return Status(Code::kInvalidArgument, std::string("resize of ") + FormatName(src.format) +
                                              " to " + FormatName(dst.format) +
                                              ": want equal formats");
  }
  if (src.format != PixelFormat::kI420) {
    return scratch.Resize(src, dst, PlaneWidthBytes(src.format, 0, 1));
  }
  const auto plane_size = [](int px, int plane) { return plane == 0 ? px : (px + 1) / 2; };
  for (int p = 0; p < 3; ++p) {
    PictureView from{PixelFormat::kGray8,
                     plane_size(src.width, p),
                     plane_size(src.height, p),
                     {src.plane[p]},
                     {src.stride[p]}};
    MutablePictureView to{PixelFormat::kGray8,
                          plane_size(dst.width, p),
                          plane_size(dst.height, p),
                          {dst.plane[p]},
                          {dst.stride[p]}};
    LC_RETURN_IF_ERROR(scratch.Resize(from, to, 1));
  }
  return {};
}

}  // namespace lipcast::imaging
