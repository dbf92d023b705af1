#include "lipcast/server/upload_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace lipcast::server {
namespace {

namespace fs = std::filesystem;

TEST(UploadFile, IsPrivateHoldsWhatCameAndGoesWhenDropped) {
  auto folder = UploadFolder::Create();
  ASSERT_TRUE(folder.ok()) << folder.status().ToString();
  const fs::path place = (*folder)->path();
  EXPECT_EQ(fs::status(place).permissions(), fs::perms::owner_all);
  auto file = UploadFile::Create(**folder);
  ASSERT_TRUE(file.ok());
  const fs::path path = (*file)->path();
  EXPECT_EQ(path.parent_path(), place);
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  ASSERT_TRUE((*file)->Append("some ").ok());
  ASSERT_TRUE((*file)->Append("sound").ok());
  EXPECT_EQ((*file)->bytes(), 10U);
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "some sound");
  file->reset();
  EXPECT_FALSE(fs::exists(path));
  folder->reset();
  EXPECT_FALSE(fs::exists(place));
}

TEST(UploadFolder, GoesWithWhatIsStillInIt) {
  auto folder = UploadFolder::Create();
  ASSERT_TRUE(folder.ok());
  const auto file = UploadFile::Create(**folder);
  ASSERT_TRUE(file.ok());
  const fs::path place = (*folder)->path();
  folder->reset();
  EXPECT_FALSE(fs::exists(place));
}

TEST(UploadFolder, APlaceThatIsNoneIsNamed) {
  const auto folder = UploadFolder::Create("/nowhere/at/all");
  ASSERT_FALSE(folder.ok());
  EXPECT_NE(folder.status().message().find("/nowhere/at/all"), std::string::npos);
}

}  // namespace
}  // namespace lipcast::server
