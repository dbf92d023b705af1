#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lipcast::server {

/// Appends `text` as a JSON string in quotes, on one line whatever it holds; broken UTF-8 becomes
/// U+FFFD.
void AppendJson(std::string_view text, std::string* out);

/// "2026-11-25T15:04:05Z"
std::string WallTime(int64_t unix_s);

}  // namespace lipcast::server
