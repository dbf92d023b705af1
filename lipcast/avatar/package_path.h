#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "lipcast/base/status.h"

namespace lipcast::avatar {

/// How files of a package are named: UTF-8, '/' between folders, relative, never upwards.

/// Longest name of a file inside a package.
inline constexpr size_t kMaxPackagePathBytes = 1024;

/// True when `text` is well-formed UTF-8 (no surrogates, no overlong forms).
bool IsUtf8(std::string_view text);

/// kInvalidArgument with the reason ("goes upwards", "is absolute", ..) unless `name` may name a
/// file of a package. The message starts with the quoted name.
Status CheckPackagePath(std::string_view name);

/// Between UTF-8 and the file system's own form. Bytes that are not UTF-8 survive on Linux.
std::filesystem::path PathFromUtf8(std::string_view name);
std::string Utf8FromPath(const std::filesystem::path& path);

/// Foreign text as part of a one-line message: control characters and broken UTF-8 as \xNN, cut
/// after `max_bytes` with "...".
std::string ShownText(std::string_view text, size_t max_bytes = 4096);

}  // namespace lipcast::avatar
