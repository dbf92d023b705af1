#pragma once

#include <cstdint>
#include <span>

#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"

namespace lipcast::media {

/// JPEG or PNG, told apart by their first bytes, to kBgr24 or (PNG with alpha) kBgra32.
/// Anything else is kInvalidArgument, and the message says what the first bytes are.
Result<Picture> DecodeImage(std::span<const uint8_t> bytes);

}  // namespace lipcast::media
