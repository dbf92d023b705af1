#include "lipcast/media/image_codec.h"

#include <algorithm>
#include <string>

#include "lipcast/media/jpeg_codec.h"
#include "lipcast/media/png_codec.h"

namespace lipcast::media {

Result<Picture> DecodeImage(std::span<const uint8_t> bytes) {
  constexpr uint8_t kJpeg[] = {0xff, 0xd8, 0xff};
  constexpr uint8_t kPng[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  const auto starts_with = [&](std::span<const uint8_t> magic) {
    return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
  };
  if (starts_with(kJpeg)) return DecodeJpeg(bytes);
  if (starts_with(kPng)) return DecodePng(bytes);
  if (bytes.empty()) return Status(Code::kInvalidArgument, "image is empty: want a JPEG or a PNG");
  std::string found;
  for (size_t i = 0; i < std::min<size_t>(4, bytes.size()); ++i) {
    constexpr char kHex[] = "0123456789abcdef";
    found += {i == 0 ? '\0' : ' ', kHex[bytes[i] >> 4], kHex[bytes[i] & 15]};
  }
  found.erase(0, 1);
  return Status(Code::kInvalidArgument,
                "image begins with bytes " + found + ": want a JPEG or a PNG");
}

}  // namespace lipcast::media
