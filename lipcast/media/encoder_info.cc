#include "lipcast/media/encoder_info.h"

#include "lipcast/media/libav.h"

namespace lipcast::media {
namespace {

std::string Version(const char* library, unsigned version) {
  return std::string(library) + " " + std::to_string(AV_VERSION_MAJOR(version)) + "." +
         std::to_string(AV_VERSION_MINOR(version)) + "." +
         std::to_string(AV_VERSION_MICRO(version));
}

}  // namespace

EncoderInfo FindEncoders() {
  EncoderInfo info;
  info.libav = true;
  info.libav_version = Version("libavformat", avformat_version()) + ", " +
                       Version("libavcodec", avcodec_version()) + ", " +
                       Version("libswscale", swscale_version());
  info.licence = avcodec_license();
  for (const char* name : {"libx264", "libopenh264"}) {
    if (avcodec_find_encoder_by_name(name)) info.h264_encoders.emplace_back(name);
  }
  for (const char* name : {"aac", "libfdk_aac"}) {
    if (avcodec_find_encoder_by_name(name)) info.aac_encoders.emplace_back(name);
  }
  info.vp9_alpha = avcodec_find_decoder_by_name("libvpx-vp9") != nullptr;
  return info;
}

}  // namespace lipcast::media
