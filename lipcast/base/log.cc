#include "lipcast/base/log.h"

namespace lipcast {

std::string_view LogLevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

namespace {

/// Bytes of the control character that `text` begins with, 0 if it begins with none: ASCII's, DEL,
/// and in UTF-8 the C1 set and the two separators that end a line.
size_t ControlBytes(std::string_view text) {
  const auto byte = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  if (byte(0) < ' ' || byte(0) == 0x7f) return 1;
  if (byte(0) == 0xc2 && byte(1) >= 0x80 && byte(1) <= 0x9f) return 2;
  if (byte(0) == 0xe2 && byte(1) == 0x80 && (byte(2) == 0xa8 || byte(2) == 0xa9)) return 3;
  return 0;
}

void AppendValue(std::string_view value, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  bool plain = !value.empty();
  std::string escaped;
  while (!value.empty()) {
    const size_t control = ControlBytes(value);
    const char c = value.front();
    if (control > 0 || c == ' ' || c == '"' || c == '=' || c == '\\') plain = false;
    if (c == '"' || c == '\\') escaped.push_back('\\');
    if (control == 0) escaped.push_back(c);
    for (const char part : value.substr(0, control)) {
      const auto byte = static_cast<unsigned char>(part);
      escaped.append({'\\', 'x', kHex[byte >> 4], kHex[byte & 15]});
    }
    value.remove_prefix(control == 0 ? 1 : control);
  }
  out->append(plain ? escaped : '"' + escaped + '"');
}

}  // namespace

std::string FormatLogLine(LogLevel level, std::string_view event,
                          std::span<const LogField> fields) {
  std::string line(LogLevelName(level));
  line.push_back(' ');
  line.append(event);
  for (const LogField& field : fields) {
    line.push_back(' ');
    line.append(field.key);
    line.push_back('=');
    AppendValue(field.value, &line);
  }
  return line;
}

}  // namespace lipcast
