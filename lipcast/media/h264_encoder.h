#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lipcast/base/picture.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"

namespace lipcast::media {

/// How a picture's NAL units are told apart.
enum class H264Form {
  kAnnexB,  ///< start codes; SPS and PPS before every key frame: a reader may join there
  kAvcc,    ///< 4-byte lengths; SPS and PPS are in codec_config() only
};

struct H264Options {
  int width = 0, height = 0;  ///< of the pictures, in pixels
  Rational fps;
  H264Form form = H264Form::kAnnexB;
  int bitrate_kbps = 0;  ///< 50..100000, kept over any second or so; 0: constant quality
  std::string encoder;   ///< libav's name; empty: libx264, else libopenh264
};

/// One picture, whole.
struct AccessUnit {
  bool key_frame = false;  ///< IDR: needs no other
  std::vector<uint8_t> bytes;
};

/// H.264 for a live reader: a picture goes in and its access unit comes out at once. No B frames,
/// no look-ahead; each picture needs only the ones encoded before it, so what must not be sent must
/// not be encoded either.
/// Key frames: the first, one about every 2 s, and on demand.
/// Colour:  kI420, taken and tagged as BT.709 limited.
/// Size:    odd sides are padded to even by repeating the edge; padding() says so.
/// Thread:  one caller at a time; it has none of its own.
class H264Encoder {
 public:
  /// kInvalidArgument names the option. kUnimplemented without libav or without an encoder.
  static Result<std::unique_ptr<H264Encoder>> Create(const H264Options& options);
  virtual ~H264Encoder() = default;

  virtual Result<AccessUnit> Encode(const PictureView& picture, bool key_frame) = 0;

  /// The avcC record, in both forms; never changes.
  virtual std::span<const uint8_t> codec_config() const = 0;
  virtual int width() const = 0;  ///< of what decodes: even
  virtual int height() const = 0;
  virtual std::optional<std::string> padding() const = 0;  ///< for people
};

}  // namespace lipcast::media
