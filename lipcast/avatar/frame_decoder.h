#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "lipcast/base/picture.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"

namespace lipcast::avatar {

/// A file of an avatar package: on disk (path set), or out of a .zip (bytes set).
struct FileSource {
  std::filesystem::path path;
  std::shared_ptr<const std::vector<uint8_t>> bytes;  ///< null when the file is on disk
};

/// Decodes the frames of one video, by index. Thread: one caller at a time.
class FrameDecoder {
 public:
  virtual ~FrameDecoder() = default;
  virtual int width() const = 0;  ///< upright: after the rotation tag
  virtual int height() const = 0;
  virtual Rational fps() const = 0;
  virtual int64_t frame_count() const = 0;
  virtual PixelFormat format() const = 0;  ///< kI420 (BT.709 limited), or kBgra32 with alpha
  /// The frame that would be decoded first if `index` is asked for: the key frame before it,
  /// or the next one in sequence when `index` lies just ahead.
  virtual int64_t KeyFrameBefore(int64_t index) const = 0;
  /// Decodes frame `index`. Sequential calls are cheap; a step back costs a seek to the key frame.
  virtual Result<Picture> Decode(int64_t index) = 0;
};

/// What avatar/ needs from media/, handed down by main so that avatar/ stays free of codecs.
struct FrameCodecs {
  std::function<Result<std::unique_ptr<FrameDecoder>>(const FileSource&)> open_video;
  /// JPEG or PNG bytes (told apart by content) to kBgr24, or kBgra32 where the PNG has alpha.
  std::function<Result<Picture>(std::span<const uint8_t>)> decode_image;
};

}  // namespace lipcast::avatar
