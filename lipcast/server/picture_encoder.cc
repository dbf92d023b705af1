#include "lipcast/server/picture_encoder.h"

#include <utility>
#include <vector>

#include "lipcast/media/jpeg_codec.h"
#include "lipcast/media/png_codec.h"

namespace lipcast::server {
namespace {

std::string PixelsOf(const PictureView& packed) {
  return {reinterpret_cast<const char*>(packed.plane[0]),
          PictureBytes(packed.format, packed.width, packed.height)};
}

/// 0 where the content decides.
int64_t RawBytes(PictureCodec codec, int width, int height) {
  switch (codec) {
    case PictureCodec::kRgba:
      return int64_t{4} * width * height;
    case PictureCodec::kBgr:
    case PictureCodec::kI420:
      return static_cast<int64_t>(PictureBytes(PixelsFor(codec), width, height));
    case PictureCodec::kJpeg:
    case PictureCodec::kPng:
    case PictureCodec::kH264AnnexB:
    case PictureCodec::kH264Avcc:
      break;
  }
  return 0;
}

std::string RgbaPixels(const PictureView& bgr) {
  std::string rgba;
  rgba.reserve(static_cast<size_t>(bgr.width) * static_cast<size_t>(bgr.height) * 4);
  for (int y = 0; y < bgr.height; ++y) {
    const uint8_t* row = bgr.plane[0] + y * bgr.stride[0];
    for (int x = 0; x < bgr.width; ++x, row += 3) {
      rgba.push_back(static_cast<char>(row[2]));
      rgba.push_back(static_cast<char>(row[1]));
      rgba.push_back(static_cast<char>(row[0]));
      rgba.push_back(static_cast<char>(0xFF));
    }
  }
  return rgba;
}

const char* CodecName(PictureCodec codec) {
  switch (codec) {
    case PictureCodec::kJpeg:
      return "JPEG";
    case PictureCodec::kPng:
      return "PNG";
    case PictureCodec::kRgba:
    case PictureCodec::kBgr:
    case PictureCodec::kI420:
      return "raw pixels";
    case PictureCodec::kH264AnnexB:
    case PictureCodec::kH264Avcc:
      break;
  }
  return "H.264";
}

Status CheckSize(const PictureEncoderOptions& options, int width, int height, int64_t bytes) {
  if (options.max_bytes <= 0 || bytes <= options.max_bytes) return {};
  return Status(Code::kInvalidArgument,
                "video = " + std::to_string(width) + "x" + std::to_string(height) + " as " +
                    CodecName(options.codec) + ": a picture has " + std::to_string(bytes) +
                    " bytes, want at most " + std::to_string(options.max_bytes) +
                    " in a message of limits.message_bytes");
}

}  // namespace

PixelFormat PixelsFor(PictureCodec codec) {
  switch (codec) {
    case PictureCodec::kI420:
    case PictureCodec::kH264AnnexB:
    case PictureCodec::kH264Avcc:
      return PixelFormat::kI420;
    case PictureCodec::kJpeg:
    case PictureCodec::kPng:
    case PictureCodec::kRgba:
    case PictureCodec::kBgr:
      break;
  }
  return PixelFormat::kBgr24;
}

Result<PictureEncoder> PictureEncoder::Create(const PictureEncoderOptions& options, int width,
                                              int height, const Rational& fps) {
  if (options.jpeg_quality < 1 || options.jpeg_quality > 100) {
    return Status(Code::kInvalidArgument,
                  "jpeg_quality = " + std::to_string(options.jpeg_quality) + ": want 1..100");
  }
  LC_RETURN_IF_ERROR(CheckSize(options, width, height, RawBytes(options.codec, width, height)));
  PictureEncoder encoder(options, width, height);
  if (options.codec == PictureCodec::kH264AnnexB || options.codec == PictureCodec::kH264Avcc) {
    media::H264Options h264;
    h264.width = width;
    h264.height = height;
    h264.fps = fps;
    h264.form = options.codec == PictureCodec::kH264AnnexB ? media::H264Form::kAnnexB
                                                           : media::H264Form::kAvcc;
    h264.bitrate_kbps = options.bitrate_kbps;
    LC_ASSIGN_OR_RETURN(encoder.h264_, media::H264Encoder::Create(h264));
  }
  return encoder;
}

std::span<const uint8_t> PictureEncoder::codec_config() const {
  return options_.codec == PictureCodec::kH264Avcc ? avcc() : std::span<const uint8_t>();
}

std::span<const uint8_t> PictureEncoder::avcc() const {
  return h264_ ? h264_->codec_config() : std::span<const uint8_t>();
}

std::optional<std::string> PictureEncoder::note() const {
  return h264_ ? h264_->padding() : std::nullopt;
}

Status PictureEncoder::Encode(const PictureView& picture, bool* key_frame, std::string* out) const {
  LC_RETURN_IF_ERROR(EncodeAnySize(picture, key_frame, out));
  return CheckSize(options_, width(), height(), static_cast<int64_t>(out->size()));
}

Status PictureEncoder::EncodeAnySize(const PictureView& picture, bool* key_frame,
                                     std::string* out) const {
  switch (options_.codec) {
    case PictureCodec::kH264AnnexB:
    case PictureCodec::kH264Avcc: {
      LC_ASSIGN_OR_RETURN(const media::AccessUnit unit, h264_->Encode(picture, *key_frame));
      *key_frame = unit.key_frame;
      out->assign(unit.bytes.begin(), unit.bytes.end());
      return {};
    }
    case PictureCodec::kJpeg:
    case PictureCodec::kPng: {
      std::vector<uint8_t> bytes;
      LC_RETURN_IF_ERROR(options_.codec == PictureCodec::kJpeg
                             ? media::EncodeJpeg(picture, options_.jpeg_quality, 0, &bytes)
                             : media::EncodePng(picture, &bytes));
      out->assign(bytes.begin(), bytes.end());
      break;
    }
    case PictureCodec::kRgba:
      *out = RgbaPixels(picture);
      break;
    case PictureCodec::kBgr:
    case PictureCodec::kI420:
      *out = PixelsOf(picture);
      break;
  }
  *key_frame = true;
  return {};
}

}  // namespace lipcast::server
