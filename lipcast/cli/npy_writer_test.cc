#include "lipcast/cli/npy_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "lipcast/avatar/test_package.h"

namespace lipcast::cli {
namespace {

using avatar::ReadFile;
using avatar::WriteFile;

std::string HeaderText(const std::string& file) { return file.substr(10, 118); }

TEST(NpyWriter, WritesAHeaderOfFormatOneAndTheRowsBehindIt) {
  TempFolder folder;
  const auto path = folder.path() / "a.npy";
  auto writer = NpyWriter::Create(path, {2, 3}, false);
  ASSERT_TRUE(writer.ok()) << writer.status().ToString();
  const std::vector<float> rows = {1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6.5F};
  (*writer)->Append(std::span(rows).first(6));
  (*writer)->Append(std::span(rows).last(6));
  ASSERT_TRUE((*writer)->Finish().ok());

  const std::string file = ReadFile(path);
  ASSERT_EQ(file.size(), 128 + rows.size() * sizeof(float));
  EXPECT_EQ(file.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(HeaderText(file).find("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 3), }"),
            0U);
  EXPECT_EQ(file[127], '\n');
  EXPECT_EQ(std::memcmp(file.data() + 128, rows.data(), rows.size() * sizeof(float)), 0);
}

TEST(NpyWriter, WritesScalarsAsATupleOfOneAndNoRowsAsZero) {
  TempFolder folder;
  auto writer = NpyWriter::Create(folder.path() / "a.npy", {}, false);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  const std::string file = ReadFile(folder.path() / "a.npy");
  EXPECT_EQ(file.size(), 128U);
  EXPECT_NE(HeaderText(file).find("'shape': (0,), }"), std::string::npos);
}

TEST(NpyWriter, LeavesNothingUnderAnyNameWithoutFinish) {
  TempFolder folder;
  {
    auto writer = NpyWriter::Create(folder.path() / "a.npy", {1}, false);
    ASSERT_TRUE(writer.ok());
    const float value = 1;
    (*writer)->Append({&value, 1});
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "a.npy"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(NpyWriter, KeepsAnExistingFileUnlessOverwritingIsAsked) {
  TempFolder folder;
  const auto path = folder.path() / "a.npy";
  WriteFile(path, "precious");
  const auto refused = NpyWriter::Create(path, {1}, false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::kAlreadyExists);
  EXPECT_NE(refused.status().message().find(path.string()), std::string::npos);
  EXPECT_EQ(ReadFile(path), "precious");

  auto writer = NpyWriter::Create(path, {1}, true);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  EXPECT_EQ(ReadFile(path).substr(1, 5), "NUMPY");
}

TEST(NpyWriter, NamesAFolderThatIsNotThere) {
  const auto writer = NpyWriter::Create("no/such/folder/a.npy", {1}, false);
  ASSERT_FALSE(writer.ok());
  EXPECT_EQ(writer.status().message(),
            "'no/such/folder/a.npy': cannot be written: No such file or directory");
}

TEST(NpyWriter, SaysThatTheFinalNameCannotBeTakenAndCleansUp) {
  TempFolder folder;
  const auto path = folder.path() / "a.npy";
  auto writer = NpyWriter::Create(path, {1}, false);
  ASSERT_TRUE(writer.ok());
  std::filesystem::create_directory(path);
  const Status finished = (*writer)->Finish();
  EXPECT_EQ(finished.code(), Code::kDataLoss);
  EXPECT_EQ(finished.message(), "'" + path.string() + "': writing failed");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace lipcast::cli
