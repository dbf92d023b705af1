// docs/operations.md tells operators what the configuration takes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "lipcast/avatar/test_package.h"
#include "lipcast/server/server_config.h"

namespace lipcast::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Words = std::vector<std::string>;

/// The cells of the table row that begins with `| name |`.
Words RowOf(const std::string& page, const std::string& name) {
  const size_t at = page.find("\n| `" + name + "` |");
  if (at == std::string::npos) return {};
  const std::string line = page.substr(at + 1, page.find('\n', at + 1) - at - 1);
  Words cells;
  for (size_t from = 2; from < line.size();) {
    const size_t to = std::min(line.find(" |", from), line.size());
    cells.push_back(line.substr(from, to - from));
    from = to + 3;
  }
  return cells;
}

TEST(ServerConfig, ThePageForOperatorsListsEveryKeyWithItsDefaultAndRange) {
  const std::string page =
      avatar::ReadFile(std::filesystem::path(LIPCAST_SOURCE_DIR) / "docs/operations.md");
  for (const ConfigKey& key : ConfigKeys()) {
    std::string value;
    for (const std::string& word : key.get(ServerConfig())) {
      value += (value.empty() ? "" : ", ") + word;
    }
    EXPECT_THAT(RowOf(page, key.name),
                ElementsAre("`" + key.name + "`", value.empty() ? "" : "`" + value + "`",
                            key.wanted, key.reloads ? "yes" : "", key.help));
  }
  size_t rows = 0;
  for (size_t at = 0; (at = page.find("\n| `", at)) != std::string::npos; ++at) {
    rows += page.substr(at + 4, page.find('`', at + 4) - at - 4).find('.') != std::string::npos;
  }
  EXPECT_EQ(rows, ConfigKeys().size()) << "a row for a key that is gone";
}

/// What the Go server's configuration could say: contract, and docs/operations.md.
TEST(ServerConfig, EveryKeyOfTheGoServerHasAnEquivalentThatExists) {
  const std::string page =
      avatar::ReadFile(std::filesystem::path(LIPCAST_SOURCE_DIR) / "docs/operations.md");
  const size_t from = page.find("\n## Coming from the Go server\n");
  ASSERT_NE(from, std::string::npos);
  const std::string section = page.substr(from, page.find("\n## ", from + 4) - from);
  for (const char* const theirs : {"server port",
                                   "max message size",
                                   "workers",
                                   "queue size",
                                   "GPUs enabled",
                                   "GPU count",
                                   "GPU memory",
                                   "GPU assignment",
                                   "max models",
                                   "max memory",
                                   "background cache frames",
                                   "eviction",
                                   "idle timeout",
                                   "library path",
                                   "intra threads",
                                   "inter threads, streams",
                                   "output format",
                                   "quality",
                                   "log level",
                                   "per-stage times",
                                   "sampling",
                                   "buffered",
                                   "flush interval",
                                   "debug files",
                                   "models_root",
                                   "model paths",
                                   "number of frames",
                                   "preload backgrounds",
                                   "preload model",
                                   "preferred GPU"}) {
    EXPECT_THAT(section, HasSubstr("\n| " + std::string(theirs) + " | ")) << theirs;
  }
  int named = 0;
  for (size_t at = 0; (at = section.find('`', at)) != std::string::npos;) {
    const size_t end = section.find('`', at + 1);
    const std::string name = section.substr(at + 1, end - at - 1);
    at = end + 1;
    if (name.find('.') == std::string::npos || name.find('/') != std::string::npos) continue;
    if (name.ends_with(".json")) continue;
    ++named;
    EXPECT_TRUE(std::ranges::any_of(ConfigKeys(), [&](const ConfigKey& key) {
      return key.name == name;
    })) << name;
  }
  EXPECT_GE(named, 18);
}

}  // namespace
}  // namespace lipcast::server
