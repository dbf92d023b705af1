#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "lipcast/avatar/manifest.h"

namespace lipcast::server {

/// What packages say of themselves, read once for each change of theirs. Thread: any.
class ManifestCache {
 public:
  struct Facts {
    std::shared_ptr<const avatar::Manifest> manifest;  ///< null where it cannot be read
    std::string problem;                               ///< why not
  };
  Facts Get(const std::filesystem::path& package);

 private:
  struct Known {
    std::filesystem::file_time_type changed;
    uintmax_t bytes = 0;
    Facts facts;
  };
  std::mutex mu_;
  std::map<std::filesystem::path, Known> known_;  // guarded by mu_
};

}  // namespace lipcast::server
