#include "lipcast/base/free_memory.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace lipcast {
namespace {

namespace fs = std::filesystem;

/// The number after `name` in lines of "name number"; none where it has no such line.
std::optional<int64_t> NumberOf(const fs::path& path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    int64_t number = 0;
    if (word == name && file >> number) return number;
    file.clear();
  }
  return std::nullopt;
}

/// The file's only number; none where it has another text, such as "max".
std::optional<int64_t> NumberIn(const fs::path& path) {
  std::ifstream file(path);
  int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

/// Names of one version's files.
struct Version {
  const char *limit, *used, *file_cache;
};
constexpr Version kV1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr Version kV2{"memory.max", "memory.current", "inactive_file"};

/// The least that a group and those it stands in have left. A container sees its own group as the
/// uppermost one, whatever its name outside: what is not there is passed over.
int64_t LeftOf(const fs::path& mount, const std::string& group, const Version& version,
               int64_t least) {
  fs::path folder = (mount / fs::path(group).relative_path()).lexically_normal();
  while (true) {
    const auto limit = NumberIn(folder / version.limit), used = NumberIn(folder / version.used);
    if (limit && used) {
      const int64_t cached = NumberOf(folder / "memory.stat", version.file_cache).value_or(0);
      least = std::min(least, std::max(int64_t{0}, *limit - std::max(int64_t{0}, *used - cached)));
    }
    if (folder == mount || !folder.has_relative_path()) return least;
    folder = folder.parent_path();
  }
}

}  // namespace

std::optional<int64_t> FreeMemoryBytes(const fs::path& root) {
  const auto available_kb = NumberOf(root / "proc/meminfo", "MemAvailable:");
  if (!available_kb) return std::nullopt;
  int64_t least = *available_kb * 1024;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // 8:memory:/a/group, or 0::/a/group
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1);
    if (controllers == ",,") {
      least = LeftOf(root / "sys/fs/cgroup", group, kV2, least);
    } else if (controllers.find(",memory,") != std::string::npos) {
      least = LeftOf(root / "sys/fs/cgroup/memory", group, kV1, least);
    }
  }
  return least;
}

}  // namespace lipcast
