#include "lipcast/server/json_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <iterator>

#include "lipcast/avatar/package_path.h"

namespace lipcast::server {
namespace {

/// Bytes of the well-formed UTF-8 character that `text` begins with; 0 if it begins with none.
size_t CharacterBytes(std::string_view text) {
  for (size_t size = 1; size <= std::min<size_t>(4, text.size()); ++size) {
    if (avatar::IsUtf8(text.substr(0, size))) return size;
  }
  return 0;
}

/// The character's number if it is a control character or ends a line for somebody, else -1.
int LineEnder(std::string_view character) {
  const auto byte = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return byte < ' ' || byte == 0x7f ? byte : -1;
  const auto last = static_cast<unsigned char>(character.back());
  if (byte == 0xc2 && last <= 0x9f) return last;
  if (character == "\u2028" || character == "\u2029") return 0x2028 + (last & 1);
  return -1;
}

}  // namespace

void AppendJson(std::string_view text, std::string* out) {
  out->push_back('"');
  while (!text.empty()) {
    const size_t size = CharacterBytes(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (size == 0) {
      out->append("\xef\xbf\xbd");
    } else if (byte == '"' || byte == '\\') {
      out->append({'\\', text[0]});
    } else if (const int ends = LineEnder(text.substr(0, size)); ends >= 0) {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", ends);
    } else {
      out->append(text.substr(0, size));
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  out->push_back('"');
}

std::string WallTime(int64_t unix_s) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(unix_s)));
}

}  // namespace lipcast::server
