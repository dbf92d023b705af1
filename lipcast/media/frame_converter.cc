#include "lipcast/media/frame_converter.h"

#include "lipcast/media/libav_log.h"

namespace lipcast::media {
namespace {

// Players take untagged video for BT.709 from this size on.
constexpr int kHdWidthPx = 1280;
constexpr int kHdHeightPx = 577;

bool IsFullRangeFormat(int format) {
  switch (format) {
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ444P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ411P:
      return true;
    default:
      return false;
  }
}

// swscale takes the J formats as hints of range only, and warns; the plain ones say the same.
AVPixelFormat PlainFormat(int format) {
  switch (format) {
    case AV_PIX_FMT_YUVJ420P:
      return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
      return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
      return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
      return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ411P:
      return AV_PIX_FMT_YUV411P;
    default:
      return static_cast<AVPixelFormat>(format);
  }
}

}  // namespace

Result<FrameConverter> FrameConverter::Create(const AVFrame& first,
                                              const Orientation& orientation) {
  FrameConverter converter;
  converter.width_ = first.width;
  converter.height_ = first.height;
  converter.source_format_ = first.format;
  converter.orientation_ = orientation;
  if (first.width < 1 || first.height < 1 || first.width > kMaxSidePx ||
      first.height > kMaxSidePx) {
    return Status(Code::kInvalidArgument, "video of " + std::to_string(first.width) + "x" +
                                              std::to_string(first.height) + ": want sides of 1.." +
                                              std::to_string(kMaxSidePx));
  }
  const AVPixFmtDescriptor* pixel = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(first.format));
  if (!pixel || (pixel->flags & AV_PIX_FMT_FLAG_HWACCEL)) {
    return Status(Code::kUnimplemented, "video with pixel format " + std::to_string(first.format));
  }
  const bool alpha = (pixel->flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
  const bool rgb = (pixel->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0;
  converter.format_ = alpha ? PixelFormat::kBgra32 : PixelFormat::kI420;

  int matrix = first.colorspace;
  const bool grey = pixel->nb_components <= 2 && !rgb;
  if (matrix == AVCOL_SPC_UNSPECIFIED || matrix == AVCOL_SPC_RESERVED ||
      (matrix == AVCOL_SPC_RGB && !rgb)) {
    const bool hd = first.width >= kHdWidthPx || first.height >= kHdHeightPx;
    matrix = hd ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    if (!rgb && !grey) {
      converter.note_ =
          std::string("colours are not tagged: ") + (hd ? "BT.709" : "BT.601") + " assumed";
    }
  }
  const bool full_range =
      rgb || first.color_range == AVCOL_RANGE_JPEG || IsFullRangeFormat(first.format);
  const bool as_it_is =
      first.format == AV_PIX_FMT_YUV420P && matrix == AVCOL_SPC_BT709 && !full_range;
  if (!as_it_is) LC_RETURN_IF_ERROR(converter.OpenScaler(first, matrix, full_range));
  return converter;
}

Status FrameConverter::OpenScaler(const AVFrame& first, int matrix, bool full_range) {
  ClearLibavLog();
  const AVPixelFormat target =
      format_ == PixelFormat::kBgra32 ? AV_PIX_FMT_BGRA : AV_PIX_FMT_YUV420P;
  scaler_.reset(sws_alloc_context());
  if (!scaler_) return Status(Code::kResourceExhausted, "no memory for a colour conversion");
  SwsContext* sws = scaler_.get();
  av_opt_set_int(sws, "srcw", width_, 0);
  av_opt_set_int(sws, "srch", height_, 0);
  av_opt_set_int(sws, "src_format", PlainFormat(first.format), 0);
  av_opt_set_int(sws, "src_range", full_range ? 1 : 0, 0);
  av_opt_set_int(sws, "dstw", width_, 0);
  av_opt_set_int(sws, "dsth", height_, 0);
  av_opt_set_int(sws, "dst_format", target, 0);
  av_opt_set_int(sws, "dst_range", target == AV_PIX_FMT_BGRA ? 1 : 0, 0);
  av_opt_set_int(sws, "sws_flags",
                 SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP, 0);
  sws_setColorspaceDetails(sws, sws_getCoefficients(matrix), full_range ? 1 : 0,
                           sws_getCoefficients(SWS_CS_ITU709), target == AV_PIX_FMT_BGRA ? 1 : 0, 0,
                           1 << 16, 1 << 16);
  const int error = sws_init_context(sws, nullptr, nullptr);
  if (error < 0) {
    return LibavStatus(error, std::string("converting pixel format ") +
                                  av_get_pix_fmt_name(static_cast<AVPixelFormat>(first.format)));
  }
  return Status();
}

Result<Picture> FrameConverter::Convert(const AVFrame& frame) {
  if (frame.width != width_ || frame.height != height_ || frame.format != source_format_) {
    return Status(Code::kUnimplemented,
                  "the video changes from " + std::to_string(width_) + "x" +
                      std::to_string(height_) + " to " + std::to_string(frame.width) + "x" +
                      std::to_string(frame.height) + ", or its pixel format, on the way");
  }
  LC_ASSIGN_OR_RETURN(Picture picture, Picture::Create(format_, width_, height_));
  const MutablePictureView to = picture.mutable_view();
  if (scaler_) {
    uint8_t* const planes[4] = {to.plane[0], to.plane[1], to.plane[2], nullptr};
    const int strides[4] = {static_cast<int>(to.stride[0]), static_cast<int>(to.stride[1]),
                            static_cast<int>(to.stride[2]), 0};
    const int rows =
        sws_scale(scaler_.get(), frame.data, frame.linesize, 0, height_, planes, strides);
    if (rows != height_) return LibavStatus(rows < 0 ? rows : AVERROR(EINVAL), "colour conversion");
  } else {
    PictureView from{PixelFormat::kI420, width_, height_, {}, {}};
    for (int p = 0; p < 3; ++p) {
      from.plane[p] = frame.data[p];
      from.stride[p] = frame.linesize[p];
    }
    CopyPicture(from, to);
  }
  if (!orientation_.upright()) return MakeUpright(picture.view(), orientation_);
  return picture;
}

}  // namespace lipcast::media
