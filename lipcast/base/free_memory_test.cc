#include "lipcast/base/free_memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "lipcast/base/test_folder.h"

namespace lipcast {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMb = 1 << 20;

class FreeMemory : public testing::Test {
 protected:
  FreeMemory() {
    Write("proc/meminfo", "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable:    4194304 kB\n");
  }

  void Write(const fs::path& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  int64_t FreeMb() { return FreeMemoryBytes(root_).value_or(-kMb) / kMb; }

  const TempFolder folder_;
  const fs::path root_ = folder_.path();
};

TEST_F(FreeMemory, IsWhatTheMachineHasLeft) { EXPECT_EQ(FreeMb(), 4096); }

TEST_F(FreeMemory, IsUnknownWithoutMeminfo) {
  fs::remove(root_ / "proc/meminfo");
  EXPECT_EQ(FreeMemoryBytes(root_), std::nullopt);
}

TEST_F(FreeMemory, IsWhatTheGroupHasLeftWhereThatIsLess) {
  Write("proc/self/cgroup", "0::/system.slice/lipcast.service\n");
  const fs::path group = "sys/fs/cgroup/system.slice/lipcast.service";
  Write(group / "memory.max", "1073741824\n");
  Write(group / "memory.current", "524288000\n");
  EXPECT_EQ(FreeMb(), 524);
  Write(group / "memory.stat", "anon 1\nfile 209715200\ninactive_file 104857600\n");
  EXPECT_EQ(FreeMb(), 624);
}

TEST_F(FreeMemory, AGroupAboveLimitsItsGroups) {
  Write("proc/self/cgroup", "0::/outer/inner\n");
  Write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  Write("sys/fs/cgroup/outer/inner/memory.current", "1\n");
  Write("sys/fs/cgroup/outer/memory.max", "314572800\n");
  Write("sys/fs/cgroup/outer/memory.current", "104857600\n");
  EXPECT_EQ(FreeMb(), 200);
}

TEST_F(FreeMemory, AGroupThatAContainerSeesAsTheUppermostCounts) {
  Write("proc/self/cgroup", "9:cpu:/x\n8:memory:/docker/0123\n0::/docker/0123\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "209715200\n");
  Write("sys/fs/cgroup/memory/memory.usage_in_bytes", "104857600\n");
  EXPECT_EQ(FreeMb(), 100);
}

TEST_F(FreeMemory, IsNeverBelowNothing) {
  Write("proc/self/cgroup", "0::/\n");
  Write("sys/fs/cgroup/memory.max", "100\n");
  Write("sys/fs/cgroup/memory.current", "200\n");
  EXPECT_EQ(FreeMb(), 0);
}

TEST_F(FreeMemory, AGroupWithoutALimitLeavesTheMachines) {
  Write("proc/self/cgroup", "8:memory:/\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1048576\n");
  EXPECT_EQ(FreeMb(), 4096);
}

TEST(FreeMemoryHere, IsSomething) {
  const auto bytes = FreeMemoryBytes();
  ASSERT_TRUE(bytes);
  EXPECT_GT(*bytes, 0);
}

}  // namespace
}  // namespace lipcast
