#include "lipcast/media/h264_stream.h"

#include <string>

namespace lipcast::media {
namespace {

constexpr size_t kMinConfigBytes = 7;
constexpr uint8_t kNalTypeBits = 0x1f, kSps = 7, kPps = 8;

/// Where the next start code's 00 00 01 begins; the size where there is none.
size_t FindStartCode(std::span<const uint8_t> bytes, size_t from) {
  for (size_t i = from; i + 3 <= bytes.size(); ++i) {
    if (bytes[i] == 0 && bytes[i + 1] == 0 && bytes[i + 2] == 1) return i;
  }
  return bytes.size();
}

}  // namespace

Status H264StreamOptions::Validate() const {
  const auto refuse = [](const std::string& text) { return Status(Code::kInvalidArgument, text); };
  if (width < 2 || height < 2 || width % 2 || height % 2) {
    return refuse("size = " + std::to_string(width) + "x" + std::to_string(height) +
                  ": want even sides");
  }
  if (fps.num < 1 || fps.den < 1) return refuse("fps = " + fps.ToString() + ": want 1..120");
  if (codec_config.size() < kMinConfigBytes || codec_config[0] != 1) {
    return refuse("codec_config: " + std::to_string(codec_config.size()) +
                  " bytes that are no avcC record");
  }
  return audio ? audio->Validate() : Status();
}

std::vector<uint8_t> AvccOfAnnexB(std::span<const uint8_t> access_unit) {
  std::vector<uint8_t> out;
  out.reserve(access_unit.size() + 16);
  for (size_t code = FindStartCode(access_unit, 0); code < access_unit.size();) {
    const size_t begin = code + 3;
    code = FindStartCode(access_unit, begin);
    size_t end = code;
    while (end > begin && access_unit[end - 1] == 0) --end;  // no NAL unit ends with a zero
    if (end == begin) continue;
    const uint8_t type = access_unit[begin] & kNalTypeBits;
    if (type == kSps || type == kPps) continue;
    const size_t size = end - begin;
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<uint8_t>(size >> shift));
    const auto unit = access_unit.subspan(begin, size);
    out.insert(out.end(), unit.begin(), unit.end());
  }
  return out;
}

}  // namespace lipcast::media
