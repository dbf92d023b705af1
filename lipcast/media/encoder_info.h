#pragma once

#include <string>
#include <vector>

namespace lipcast::media {

/// What `lipcast doctor` says about libav.
struct EncoderInfo {
  bool libav = false;                      ///< false: built with LIPCAST_LIBAV=OFF
  std::string libav_version;               ///< "libavformat 59.27.100, libavcodec 59.37.100, ..."
  std::string licence;                     ///< of the libav found at run time: "GPL version 2 ..."
  std::vector<std::string> h264_encoders;  ///< software ones by name, the default one first
  std::vector<std::string> aac_encoders;
  bool vp9_alpha = false;  ///< libvpx-vp9 decodes VP9 with alpha
};
EncoderInfo FindEncoders();

}  // namespace lipcast::media
