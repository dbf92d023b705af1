#include "lipcast/avatar/package_path.h"

#include <fmt/format.h>

#include <cstdint>

namespace lipcast::avatar {
namespace {

/// Length of the well-formed code point at the front of `text`, 0 when there is none.
size_t CodePointBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if (lead == 0xE0 && byte(1) < 0xA0) return 0;
  if (lead == 0xED && byte(1) >= 0xA0) return 0;
  if (lead == 0xF0 && byte(1) < 0x90) return 0;
  if (lead == 0xF4 && byte(1) >= 0x90) return 0;
  return length;
}

bool IsControl(char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7F; }

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = CodePointBytes(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

Status CheckPackagePath(std::string_view name) {
  const auto refuse = [&](std::string_view reason) {
    return Status(Code::kInvalidArgument,
                  fmt::format("'{}' {}: want a relative path inside the package, e.g. frames.mp4",
                              ShownText(name, 80), reason));
  };
  if (name.empty()) return refuse("is empty");
  if (name.size() > kMaxPackagePathBytes) {
    return refuse(fmt::format("has {} bytes, more than {}", name.size(), kMaxPackagePathBytes));
  }
  if (!IsUtf8(name)) return refuse("is not UTF-8");
  for (const char c : name) {
    if (IsControl(c)) return refuse("has a control character");
    if (c == '\\') return refuse("has a backslash");
  }
  if (name.front() == '/') return refuse("is absolute");
  if (name.size() >= 2 && name[1] == ':') return refuse("names a drive");
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part == "..") return refuse("goes upwards");
    if (part.empty() || part == ".") return refuse("has an empty part");
    begin = end + 1;
  }
  return Status();
}

std::filesystem::path PathFromUtf8(std::string_view name) {
  return std::filesystem::path(
      std::u8string(reinterpret_cast<const char8_t*>(name.data()), name.size()));
}

std::string Utf8FromPath(const std::filesystem::path& path) {
  const std::u8string text = path.u8string();
  return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

std::string ShownText(std::string_view text, size_t max_bytes) {
  std::string shown;
  while (!text.empty()) {
    const size_t length = CodePointBytes(text);
    std::string piece(text.substr(0, length));
    if (length == 0 || (length == 1 && IsControl(text[0]))) {
      piece = fmt::format("\\x{:02x}", static_cast<uint8_t>(text[0]));
    }
    if (shown.size() + piece.size() > max_bytes) return shown + "...";
    shown += piece;
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return shown;
}

}  // namespace lipcast::avatar
