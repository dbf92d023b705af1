#include "lipcast/media/open_sink.h"

#include <algorithm>

#include "lipcast/media/image_sink.h"
#include "lipcast/media/movie_sink.h"
#include "lipcast/media/raw_sink.h"

namespace lipcast::media {

Result<std::unique_ptr<VideoSink>> OpenSink(const std::string& target, const std::string& format,
                                            const SinkOptions& options) {
  if (target.empty()) return Status(Code::kInvalidArgument, "output name is empty");
  SinkOptions settled = options;
  settled.path = target;
  std::string kind = format;
  if (kind.empty() && target != "-") {
    kind = settled.path.extension().string();
    if (!kind.empty()) kind.erase(0, 1);
  }
  std::transform(kind.begin(), kind.end(), kind.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });

  if (kind == "y4m") return CreateRawSink(RawLayout::kY4m, settled);
  if (kind == "bgr") return CreateRawSink(RawLayout::kBgr24, settled);
  if (kind == "i420" || kind == "yuv") return CreateRawSink(RawLayout::kI420, settled);
  if (target == "-") {
    return Status(Code::kInvalidArgument,
                  "output '-' with format '" + kind + "': want format y4m, bgr or i420");
  }
  if (kind == "mp4") return CreateMovieSink(MovieContainer::kMp4, settled);
  if (kind == "mkv") return CreateMovieSink(MovieContainer::kMkv, settled);
  if (kind == "png") return CreateImageSink(ImageKind::kPng, settled);
  if (kind == "jpg" || kind == "jpeg") return CreateImageSink(ImageKind::kJpeg, settled);
  return Status(Code::kInvalidArgument,
                "output '" + target + "'" +
                    (format.empty() ? "" : " with format '" + format + "'") +
                    ": want .mp4, .mkv, %06d.png, %06d.jpg, .y4m, .bgr, .i420, .yuv, or - with "
                    "format y4m, bgr or i420");
}

}  // namespace lipcast::media
