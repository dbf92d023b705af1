#include "lipcast/avatar/find_avatar.h"

#include <fmt/format.h>

#include <string>
#include <system_error>
#include <vector>

#include "lipcast/avatar/manifest.h"
#include "lipcast/avatar/package_path.h"

namespace lipcast::avatar {
namespace {

namespace fs = std::filesystem;

std::string Shown(const fs::path& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  return ShownText(Utf8FromPath(error ? path : absolute.lexically_normal()));
}

bool HasManifest(const fs::path& folder) {
  std::error_code error;
  return fs::is_regular_file(folder / PathFromUtf8(kManifestName), error);
}

bool IsZip(const fs::path& path) {
  std::error_code error;
  return Utf8FromPath(path).ends_with(".zip") && fs::is_regular_file(path, error);
}

Status NoAvatar(std::string_view name, Code code, std::string_view reason) {
  return Status(code, fmt::format("avatar '{}': {}", ShownText(name), reason));
}

Result<fs::path> FindPath(std::string_view name) {
  const fs::path path = PathFromUtf8(name);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    return NoAvatar(name, Code::kNotFound, fmt::format("{} does not exist here", Shown(path)));
  }
  if (HasManifest(path) || IsZip(path)) return path;
  if (fs::is_directory(status)) {
    return NoAvatar(name, Code::kInvalidArgument,
                    fmt::format("{} has no avatar.json: want an avatar's folder", Shown(path)));
  }
  if (fs::is_regular_file(status)) {
    return NoAvatar(
        name, Code::kInvalidArgument,
        fmt::format("{} is a file: want a folder with avatar.json or a .zip", Shown(path)));
  }
  return NoAvatar(name, Code::kInvalidArgument,
                  fmt::format("{} cannot be read: {}", Shown(path),
                              error ? error.message() : "neither a folder nor a file"));
}

}  // namespace

Result<fs::path> FindAvatar(std::string_view name_or_path, std::span<const fs::path> search_roots) {
  const std::string_view name = name_or_path;
  if (name.empty() || name.find('\0') != std::string_view::npos) {
    return NoAvatar(name, Code::kInvalidArgument, "want a name, or the path of a folder or .zip");
  }
  if (name.find('/') != std::string_view::npos || name.ends_with(".zip") || name == "." ||
      name == "..") {
    return FindPath(name);
  }
  std::vector<std::string> tried;
  for (const fs::path& root : search_roots) {
    const fs::path folder = root / PathFromUtf8(name);
    if (HasManifest(folder)) return folder;
    const fs::path zip = root / PathFromUtf8(std::string(name) + ".zip");
    if (IsZip(zip)) return zip;
    tried.push_back(Shown(folder));
    tried.push_back(Shown(zip));
  }
  const std::string places = tried.empty() ? "nowhere, as no avatar folder is configured"
                                           : fmt::format("{}", fmt::join(tried, ", "));
  return NoAvatar(
      name, Code::kNotFound,
      fmt::format("not found; looked for {} (a path needs a '/': ./{})", places, ShownText(name)));
}

std::string AvatarName(const fs::path& path) {
  std::string name = Utf8FromPath(path.filename());
  if (name.ends_with(".zip")) name.resize(name.size() - 4);
  return name;
}

}  // namespace lipcast::avatar
