#include "lipcast/media/video_sink.h"

namespace lipcast::media {
namespace {

Status CheckRange(const char* name, int value, int low, int high) {
  if (value >= low && value <= high) return Status();
  return Status(Code::kInvalidArgument, std::string(name) + " = " + std::to_string(value) +
                                            ": want " + std::to_string(low) + ".." +
                                            std::to_string(high));
}

std::string SizeText(int width, int height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

}  // namespace

std::string PixelFormatName(PixelFormat format) {
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

Status SinkOptions::Validate() const {
  LC_RETURN_IF_ERROR(CheckRange("width", width, 1, kMaxSidePx));
  LC_RETURN_IF_ERROR(CheckRange("height", height, 1, kMaxSidePx));
  LC_RETURN_IF_ERROR(CheckRange("crf", crf, 0, 51));
  LC_RETURN_IF_ERROR(CheckRange("jpeg_quality", jpeg_quality, 1, 100));
  LC_RETURN_IF_ERROR(CheckRange("threads", threads, 1, 64));
  if (fps.num < 1 || fps.den < 1 || fps.num > 1'000'000'000 || fps.den > 1'000'000'000 ||
      fps.num < fps.den || fps.num > 120 * fps.den) {
    return Status(Code::kInvalidArgument, "fps = " + fps.ToString() + ": want 1..120");
  }
  if (audio) LC_RETURN_IF_ERROR(audio->Validate());
  if (audio_samples && *audio_samples < 0) {
    return Status(Code::kInvalidArgument,
                  "audio_samples = " + std::to_string(*audio_samples) + ": want 0 or more");
  }
  return Status();
}

Status CheckFrame(const PictureView& picture, std::span<const PixelFormat> formats,
                  const SinkOptions& options, const std::string& target, int64_t frame) {
  bool format_ok = false;
  for (const PixelFormat format : formats) format_ok |= picture.format == format;
  if (format_ok && picture.width == options.width && picture.height == options.height) {
    return Status();
  }
  std::string wanted;
  for (const PixelFormat format : formats) {
    wanted += (wanted.empty() ? "" : " or ") + PixelFormatName(format);
  }
  return Status(Code::kInvalidArgument, "'" + target + "': frame " + std::to_string(frame) +
                                            " is " + PixelFormatName(picture.format) + " " +
                                            SizeText(picture.width, picture.height) + ": want " +
                                            wanted + " " + SizeText(options.width, options.height));
}

}  // namespace lipcast::media
