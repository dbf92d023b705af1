#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"

namespace lipcast::media {

/// Pictures that an H264Encoder has made, and the sound beside them, on their way into a container.
struct H264StreamOptions {
  int width = 0, height = 0;                ///< H264Encoder's: even
  Rational fps;                             ///< of the picture times
  std::span<const uint8_t> codec_config;    ///< H264Encoder's: the avcC record; not kept
  std::optional<audio::AudioFormat> audio;  ///< of the sound that comes; absent: pictures only

  Status Validate() const;  ///< kInvalidArgument names the option
};

/// H264Form::kAnnexB to kAvcc: 4-byte lengths in place of start codes; SPS and PPS, which
/// codec_config has, are left out. Every other byte stays.
std::vector<uint8_t> AvccOfAnnexB(std::span<const uint8_t> access_unit);

}  // namespace lipcast::media
