#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "lipcast/base/picture.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"
#include "lipcast/media/h264_encoder.h"

namespace lipcast::server {

enum class PictureCodec { kJpeg, kPng, kRgba, kBgr, kI420, kH264AnnexB, kH264Avcc };

/// What PictureEncoder takes.
PixelFormat PixelsFor(PictureCodec codec);

struct PictureEncoderOptions {
  PictureCodec codec = PictureCodec::kJpeg;
  int jpeg_quality = 75;  ///< 1..100
  int bitrate_kbps = 0;   ///< of H.264: 50..100000; 0: constant quality
  int64_t max_bytes = 0;  ///< of a picture; raw pixels are refused by Create; 0: any size
};

/// A stream's pictures as its client wants them.
/// Thread: any, at the same time, unless in_order().
class PictureEncoder {
 public:
  /// Pictures of that size, packed. kInvalidArgument names the option.
  static Result<PictureEncoder> Create(const PictureEncoderOptions& options, int width, int height,
                                       const Rational& fps);

  /// Whether a picture needs those before it: then one call at a time, in order, and what is
  /// encoded must reach the client.
  bool in_order() const { return h264_ != nullptr; }
  /// `*key_frame`: as wanted; then whether it is one, which decodes by itself.
  /// kInvalidArgument: more than max_bytes; it names both.
  Status Encode(const PictureView& picture, bool* key_frame, std::string* out) const;

  int width() const { return h264_ ? h264_->width() : width_; }  ///< of what decodes
  int height() const { return h264_ ? h264_->height() : height_; }
  std::span<const uint8_t> codec_config() const;  ///< kH264Avcc: avcc(), else empty
  std::span<const uint8_t> avcc() const;          ///< H.264 in either form: the avcC record
  std::optional<std::string> note() const;        ///< for people, where the size had to change

 private:
  Status EncodeAnySize(const PictureView& picture, bool* key_frame, std::string* out) const;
  PictureEncoder(const PictureEncoderOptions& options, int width, int height)
      : options_(options), width_(width), height_(height) {}

  PictureEncoderOptions options_;
  int width_, height_;
  std::unique_ptr<media::H264Encoder> h264_;
};

}  // namespace lipcast::server
