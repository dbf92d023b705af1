#include "lipcast/media/h264_setup.h"

#include <algorithm>
#include <cstring>

#include "lipcast/media/libav_log.h"

namespace lipcast::media {
namespace {

constexpr double kBitsPerPixel = 0.12;
constexpr int64_t kMinBitRate = 200'000;

int Even(int side) { return (side + 1) & ~1; }

std::string Size(int width, int height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

}  // namespace

Result<const AVCodec*> FindH264Encoder(const std::string& name) {
  if (!name.empty()) {
    const AVCodec* encoder = avcodec_find_encoder_by_name(name.c_str());
    if (encoder && encoder->id == AV_CODEC_ID_H264) return encoder;
    return Status(encoder ? Code::kInvalidArgument : Code::kUnimplemented,
                  "h264_encoder '" + name +
                      "': " + (encoder ? "not an H.264 encoder" : "this libav does not have it") +
                      ": want e.g. libx264 or libopenh264");
  }
  for (const char* candidate : {"libx264", "libopenh264"}) {
    if (const AVCodec* encoder = avcodec_find_encoder_by_name(candidate)) return encoder;
  }
  return Status(Code::kUnimplemented, "this libav has neither libx264 nor libopenh264");
}

Result<CodecPtr> NewH264Context(const AVCodec* codec, int width, int height, const Rational& fps,
                                int threads) {
  CodecPtr encoder(avcodec_alloc_context3(codec));
  if (!encoder) return Status(Code::kResourceExhausted, "no memory for an H.264 encoder");
  encoder->width = Even(width);
  encoder->height = Even(height);
  encoder->pix_fmt = AV_PIX_FMT_YUV420P;
  encoder->time_base = {static_cast<int>(fps.den), static_cast<int>(fps.num)};
  encoder->framerate = av_inv_q(encoder->time_base);
  encoder->sample_aspect_ratio = {1, 1};
  encoder->color_primaries = AVCOL_PRI_BT709;
  encoder->color_trc = AVCOL_TRC_BT709;
  encoder->colorspace = AVCOL_SPC_BT709;
  encoder->color_range = AVCOL_RANGE_MPEG;
  encoder->chroma_sample_location = AVCHROMA_LOC_LEFT;
  encoder->thread_count = threads;
  return encoder;
}

int64_t H264BitRate(int width, int height, const Rational& fps) {
  return std::max(kMinBitRate,
                  static_cast<int64_t>(kBitsPerPixel * Even(width) * Even(height) * fps.value()));
}

std::optional<std::string> PaddingNote(int width, int height) {
  if (width == Even(width) && height == Even(height)) return std::nullopt;
  return Size(width, height) + " padded to " + Size(Even(width), Even(height)) +
         " by repeating the edge: H.264 wants even sides";
}

Status FillH264Frame(const PictureView& picture, const AVCodecContext& encoder, AVFrame* frame) {
  if (!frame->buf[0]) {
    frame->format = encoder.pix_fmt;
    frame->width = encoder.width;
    frame->height = encoder.height;
    frame->color_range = encoder.color_range;
    frame->colorspace = encoder.colorspace;
    frame->color_primaries = encoder.color_primaries;
    frame->color_trc = encoder.color_trc;
    if (const int error = av_frame_get_buffer(frame, 0); error < 0) {
      return LibavStatus(error, "video frame");
    }
  }
  if (const int error = av_frame_make_writable(frame); error < 0) {
    return LibavStatus(error, "video frame");
  }
  for (int p = 0; p < 3; ++p) {
    const int bytes = PlaneWidthBytes(picture.format, p, picture.width);
    const int rows = PlaneHeight(picture.format, p, picture.height);
    const int padded_bytes = PlaneWidthBytes(picture.format, p, encoder.width);
    const int padded_rows = PlaneHeight(picture.format, p, encoder.height);
    for (int y = 0; y < padded_rows; ++y) {
      uint8_t* to = frame->data[p] + static_cast<ptrdiff_t>(y) * frame->linesize[p];
      const uint8_t* from = picture.plane[p] + std::min(y, rows - 1) * picture.stride[p];
      std::memcpy(to, from, static_cast<size_t>(bytes));
      for (int x = bytes; x < padded_bytes; ++x) to[x] = to[bytes - 1];
    }
  }
  return {};
}

}  // namespace lipcast::media
