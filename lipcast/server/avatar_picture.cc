#include "lipcast/server/avatar_picture.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "lipcast/avatar/package_files.h"
#include "lipcast/media/jpeg_codec.h"
#include "lipcast/media/video_decoder.h"

namespace lipcast::server {
namespace {

constexpr int kWidthPx = 320;
constexpr int kQuality = 80;

/// One plane of `channels` interleaved bytes; a fourth is alpha, and goes.
void ShrinkPlane(const PictureView& from, const MutablePictureView& to, int plane, int channels,
                 int width, int height, int factor) {
  const int kept = std::min(channels, 3);
  const int from_width = PlaneWidthBytes(from.format, plane, from.width) / channels;
  const int from_height = PlaneHeight(from.format, plane, from.height);
  for (int y = 0; y < height; ++y) {
    uint8_t* out = to.plane[plane] + y * to.stride[plane];
    for (int x = 0; x < width; ++x) {
      int sum[3] = {}, count = 0;
      for (int row = y * factor; row < std::min((y + 1) * factor, from_height); ++row) {
        const uint8_t* line = from.plane[plane] + row * from.stride[plane];
        for (int column = x * factor; column < std::min((x + 1) * factor, from_width); ++column) {
          const uint8_t* pixel = line + column * channels;
          const int alpha = channels == 4 ? pixel[3] : 255;
          for (int c = 0; c < kept; ++c) {
            sum[c] += (pixel[c] * alpha + 255 * (255 - alpha) + 127) / 255;
          }
          ++count;
        }
      }
      for (int c = 0; c < kept; ++c) {
        out[x * kept + c] = static_cast<uint8_t>((sum[c] + count / 2) / std::max(count, 1));
      }
    }
  }
}

Result<avatar::SharedPicture> FirstFrame(const AvatarEntry& entry) {
  if (entry.avatar) return entry.avatar->avatar->Frame(0);
  if (!entry.manifest) return Status(Code::kFailedPrecondition, entry.stats.problem);
  const avatar::FrameFiles& frames = entry.manifest->frames;
  LC_ASSIGN_OR_RETURN(const auto files, avatar::PackageFiles::Open(entry.path));
  Picture picture;
  if (frames.kind == avatar::FramesKind::kVideo) {
    LC_ASSIGN_OR_RETURN(const avatar::FileSource source, files->Source(frames.path));
    LC_ASSIGN_OR_RETURN(const auto decoder, media::OpenVideo(source));
    LC_ASSIGN_OR_RETURN(picture, decoder->Decode(0));
  } else {
    LC_ASSIGN_OR_RETURN(const avatar::SharedBytes bytes, files->Read(entry.manifest->ImageName(0)));
    LC_ASSIGN_OR_RETURN(picture, media::DecodeImage(*bytes));
  }
  return std::make_shared<const Picture>(std::move(picture));
}

}  // namespace

Result<Picture> Shrunk(const PictureView& picture, int factor) {
  const bool planar = picture.format == PixelFormat::kI420;
  const bool alpha = picture.format == PixelFormat::kBgra32;
  if (!planar && !alpha && picture.format != PixelFormat::kBgr24) {
    return Status(Code::kInvalidArgument, "a picture to shrink: want I420, BGR or BGRA");
  }
  if (factor < 1 || factor > std::min(picture.width, picture.height)) {
    return Status(Code::kInvalidArgument,
                  "factor = " + std::to_string(factor) + ": want 1.." +
                      std::to_string(std::min(picture.width, picture.height)));
  }
  const PixelFormat format = alpha ? PixelFormat::kBgr24 : picture.format;
  LC_ASSIGN_OR_RETURN(Picture small,
                      Picture::Create(format, picture.width / factor, picture.height / factor));
  const MutablePictureView to = small.mutable_view();
  const int channels = planar ? 1 : (alpha ? 4 : 3);
  for (int plane = 0; plane < PlaneCount(format); ++plane) {
    ShrinkPlane(picture, to, plane, channels,
                PlaneWidthBytes(format, plane, to.width) / std::min(channels, 3),
                PlaneHeight(format, plane, to.height), factor);
  }
  return small;
}

Result<std::string> AvatarPicture(const AvatarEntry& entry) {
  LC_ASSIGN_OR_RETURN(const avatar::SharedPicture frame, FirstFrame(entry));
  const int factor =
      std::clamp(frame->width() / kWidthPx, 1, std::min(frame->width(), frame->height()));
  LC_ASSIGN_OR_RETURN(const Picture small, Shrunk(frame->view(), factor));
  std::vector<uint8_t> jpeg;
  LC_RETURN_IF_ERROR(media::EncodeJpeg(small.view(), kQuality, 0, &jpeg));
  return std::string(jpeg.begin(), jpeg.end());
}

}  // namespace lipcast::server
