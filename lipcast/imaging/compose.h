#pragma once

#include <optional>

#include "lipcast/avatar/mouth_layout.h"
#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"
#include "lipcast/imaging/scratch.h"

namespace lipcast::imaging {

/// Where a redrawn mouth goes, and how much of it shows.
struct MouthPaste {
  Rect box;             ///< inside the frame, of any shape
  float weight = 1.0f;  ///< 0: the frame as it was; 1: the new mouth
};

/// Cuts the face box out of a frame at the network's size, and puts a redrawn one back in place.
/// Frames: kBgr24, kI420 and kBgra32 (its alpha stays). Pixels outside the box are never written;
///         of an I420 frame the chroma of every 2x2 block that the box touches is.
/// Paste:  the whole box becomes the resized square (the contract), mixed with the frame by the
///         weight. With a feather or a mask only the inner square shows: its share rises over
///         layout.feather_px from its edge and is scaled by the mask. Where the share is 0 the
///         frame keeps its bytes.
/// Errors: kInvalidArgument for formats, sizes, weights, and for a box not inside the frame.
/// Thread: immutable, any number of threads, each with its own Scratch.
/// Source: docs/numerics.md 3.
class MouthCompositor {
 public:
  /// `mask`, if not null, is kGray8 of inner_px square: 255 shows the new mouth, 0 the frame. It
  /// is copied.
  static Result<MouthCompositor> Create(const avatar::MouthLayout& layout,
                                        const PictureView* mask = nullptr);

  /// The box as BGR, resized by layout.kernel into `resized` (kBgr24, resized_px square).
  Status CropResized(const PictureView& frame, const Rect& box, const MutablePictureView& resized,
                     Scratch& scratch) const;

  /// `resized` resized back to the box and put into `frame`.
  Status Paste(const PictureView& resized, const Rect& box, float weight,
               const MutablePictureView& frame, Scratch& scratch) const;
  Status Paste(const PictureView& resized, const MouthPaste& paste, const MutablePictureView& frame,
               Scratch& scratch) const {
    return Paste(resized, paste.box, paste.weight, frame, scratch);
  }

  const avatar::MouthLayout& layout() const { return layout_; }

 private:
  MouthCompositor() = default;

  // How much of the new mouth shows in each pixel of a box.
  struct Shares;
  Result<Shares> MakeShares(int box_w, int box_h, int channels, float weight,
                            Scratch& scratch) const;
  Status PasteBgr(const PictureView& resized, const Rect& box, float weight,
                  const MutablePictureView& frame, Scratch& scratch) const;
  Status PasteBgra(const PictureView& resized, const Rect& box, float weight,
                   const MutablePictureView& frame, Scratch& scratch) const;
  Status PasteI420(const PictureView& resized, const Rect& box, float weight,
                   const MutablePictureView& frame, Scratch& scratch) const;
  Status CheckResized(const PictureView& resized) const;
  bool IsExact(float weight) const;

  avatar::MouthLayout layout_;
  std::optional<Picture> mask_gray_;  // resized_px square
  std::optional<Picture> mask_bgr_;   // the same, three times
};

/// A whole frame in another format: between kI420 and kBgr24, from kBgra32 (its alpha dropped) to
/// both, or a copy. kInvalidArgument for other pairs and for sizes that differ.
Status ConvertPicture(const PictureView& src, const MutablePictureView& dst, Scratch& scratch);

/// A whole frame, cubic-resized plane by plane; equal formats. kInvalidArgument for sizes.
Status ResizePicture(const PictureView& src, const MutablePictureView& dst, Scratch& scratch);

}  // namespace lipcast::imaging
