#pragma once

#include <filesystem>
#include <memory>

#include "lipcast/avatar/package_files.h"

namespace lipcast::avatar {

/// The .zip side of PackageFiles::Open. Refuses an archive with an entry that is encrypted, a
/// symbolic link, doubled, not a package path, or above the limits of package_files.h.
Result<std::unique_ptr<PackageFiles>> OpenZipFiles(const std::filesystem::path& path);

}  // namespace lipcast::avatar
