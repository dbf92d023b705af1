#include "lipcast/server/manifest_cache.h"

#include <utility>

#include "lipcast/avatar/avatar.h"

namespace lipcast::server {
namespace {

namespace fs = std::filesystem;

Result<avatar::Manifest> Read(const fs::path& package) {
  LC_ASSIGN_OR_RETURN(const auto files, avatar::PackageFiles::Open(package));
  return avatar::ReadManifest(*files);
}

}  // namespace

ManifestCache::Facts ManifestCache::Get(const fs::path& package) {
  std::error_code error;
  const bool folder = fs::is_directory(package, error);
  const fs::path file = folder ? package / "avatar.json" : package;
  const auto changed = fs::last_write_time(file, error);
  const auto bytes = error ? 0 : fs::file_size(file, error);
  if (error) return {nullptr, "its avatar.json cannot be read"};
  {
    const std::lock_guard lock(mu_);
    const auto known = known_.find(package);
    if (known != known_.end() && known->second.changed == changed && known->second.bytes == bytes) {
      return known->second.facts;
    }
  }
  auto manifest = Read(package);
  Facts facts;
  if (manifest.ok()) {
    facts.manifest = std::make_shared<const avatar::Manifest>(*std::move(manifest));
  } else {
    facts.problem = manifest.status().message();
  }
  const std::lock_guard lock(mu_);
  known_[package] = {changed, bytes, facts};
  return facts;
}

}  // namespace lipcast::server
