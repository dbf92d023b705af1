#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "lipcast/base/status.h"

namespace lipcast::avatar {

/// Where an avatar stands that a person named, in UTF-8.
/// A path (it has a '/', ends in .zip, or is "." or "..") is a folder with avatar.json or a .zip.
/// A bare name is looked up in each root in turn: root/name/avatar.json, then root/name.zip; never
/// in the working folder, for which a person writes ./name.
/// kNotFound says every place that was tried, as absolute paths; kInvalidArgument for what is
/// there but is no avatar. The package is not opened.
Result<std::filesystem::path> FindAvatar(std::string_view name_or_path,
                                         std::span<const std::filesystem::path> search_roots);

/// The bare name of an avatar that stands there: its folder's, or its .zip's without the ending.
std::string AvatarName(const std::filesystem::path& path);

}  // namespace lipcast::avatar
