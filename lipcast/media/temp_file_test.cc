#include "lipcast/media/temp_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using test::ReadFile;
using test::WriteFile;

TEST(TempFile, TheFinalNameIsAbsentUntilCommit) {
  TempFolder folder;
  auto file = TempFile::Create(folder / "out.bin", false);
  LC_ASSERT_OK(file);
  LC_ASSERT_OK(WriteAll(file->fd(), "abc", 3, "out.bin"));
  EXPECT_FALSE(std::filesystem::exists(folder / "out.bin"));
  EXPECT_EQ(file->path().parent_path(), folder.path());
  LC_ASSERT_OK(file->Commit());
  EXPECT_EQ(ReadFile(folder / "out.bin"), (std::vector<uint8_t>{'a', 'b', 'c'}));
  EXPECT_EQ(folder.Names().size(), 1u);
}

TEST(TempFile, WithoutCommitNothingIsLeft) {
  TempFolder folder;
  {
    auto file = TempFile::Create(folder / "out.bin", false);
    LC_ASSERT_OK(file);
    TempFile moved = *std::move(file);
    EXPECT_EQ(folder.Names().size(), 1u);
  }
  EXPECT_TRUE(folder.Names().empty());
}

TEST(TempFile, ManyInOneFolderDoNotMeet) {
  TempFolder folder;
  auto a = TempFile::Create(folder / "a", false);
  auto b = TempFile::Create(folder / "b", false);
  LC_ASSERT_OK(a);
  LC_ASSERT_OK(b);
  EXPECT_NE(a->path(), b->path());
}

TEST(TempFile, AnExistingFileIsRefusedUnlessOverwrite) {
  TempFolder folder;
  WriteFile(folder / "out.bin", {1});
  EXPECT_EQ(TempFile::Create(folder / "out.bin", false).status().code(), Code::kAlreadyExists);
  auto file = TempFile::Create(folder / "out.bin", true);
  LC_ASSERT_OK(file);
  LC_ASSERT_OK(WriteAll(file->fd(), "z", 1, "out.bin"));
  EXPECT_EQ(ReadFile(folder / "out.bin"), std::vector<uint8_t>{1});
  LC_ASSERT_OK(file->Commit());
  EXPECT_EQ(ReadFile(folder / "out.bin"), std::vector<uint8_t>{'z'});
}

TEST(TempFile, AFileThatAppearsMeanwhileIsKept) {
  TempFolder folder;
  auto file = TempFile::Create(folder / "out.bin", false);
  LC_ASSERT_OK(file);
  WriteFile(folder / "out.bin", {7});
  EXPECT_EQ(file->Commit().code(), Code::kAlreadyExists);
  EXPECT_EQ(ReadFile(folder / "out.bin"), std::vector<uint8_t>{7});
}

TEST(TempFile, AFolderThatCannotBeWrittenIsNamed) {
  TempFolder folder;
  WriteFile(folder / "plain", {1});
  // Below a plain file nobody can write, root included.
  const Status below = TempFile::Create(folder / "plain/out.mp4", false).status();
  EXPECT_EQ(below.code(), Code::kNotFound);
  EXPECT_NE(below.message().find("plain/out.mp4"), std::string::npos);
  EXPECT_EQ(TempFile::Create(folder / "missing/out.mp4", false).status().code(), Code::kNotFound);
  EXPECT_EQ(TempFile::Create(folder.path(), true).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(TempFile::Create(folder / std::string(256, 'x'), true).status().code(),
            Code::kInvalidArgument);
}

TEST(TempFile, ReplacesNoPipeAndNeedsAFileName) {
  TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const Status pipe = TempFile::Create(folder / "pipe", true).status();
  EXPECT_EQ(pipe.code(), Code::kInvalidArgument);
  EXPECT_NE(pipe.message().find("not a regular file"), std::string::npos) << pipe.message();
  const Status nameless = TempFile::Create(folder / "missing/", true).status();
  EXPECT_EQ(nameless.code(), Code::kInvalidArgument);
  EXPECT_NE(nameless.message().find("has no file name"), std::string::npos) << nameless.message();
}

TEST(TempFile, AssignmentLeavesNothingOfTheFileItReplaces) {
  TempFolder folder;
  auto a = TempFile::Create(folder / "a", false);
  auto b = TempFile::Create(folder / "b", false);
  LC_ASSERT_OK(a);
  LC_ASSERT_OK(b);
  *a = *std::move(b);
  EXPECT_EQ(folder.Names().size(), 1u);
  LC_ASSERT_OK(a->Commit());
  EXPECT_EQ(folder.Names(), std::vector<std::string>{"b"});
}

TEST(ErrnoStatus, GivesTheCodeThatSaysWhatIsWrong) {
  const std::pair<int, Code> cases[] = {{ENOENT, Code::kNotFound},
                                        {EACCES, Code::kPermissionDenied},
                                        {EROFS, Code::kPermissionDenied},
                                        {ENOSPC, Code::kResourceExhausted},
                                        {EMFILE, Code::kResourceExhausted},
                                        {EEXIST, Code::kAlreadyExists},
                                        {EISDIR, Code::kInvalidArgument},
                                        {EPIPE, Code::kCancelled},
                                        {EIO, Code::kUnknown}};
  for (const auto& [error, code] : cases) {
    EXPECT_EQ(ErrnoStatus(error, "x").code(), code) << error;
  }
  EXPECT_EQ(ErrnoStatus(ENOENT, "'x'").message(), "'x': No such file or directory");
}

TEST(TempFile, TakesAnyUtf8Name) {
  TempFolder folder;
  const std::filesystem::path odd = folder / "Анна 😀 и кот.";
  std::filesystem::create_directory(odd);
  const std::filesystem::path name = odd / (std::string(200, 'n') + ".mp4");
  auto file = TempFile::Create(name, false);
  LC_ASSERT_OK(file);
  LC_ASSERT_OK(file->Commit());
  EXPECT_TRUE(std::filesystem::exists(name));
}

TEST(WriteAll, AFullDiskIsResourceExhausted) {
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  EXPECT_EQ(WriteAll(full, "abc", 3, "full").code(), Code::kResourceExhausted);
  ::close(full);
}

TEST(WriteAll, AReaderThatLeftIsCancelled) {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const Status status = WriteAll(ends[1], "abc", 3, "out");
  EXPECT_EQ(status.code(), Code::kCancelled);
  EXPECT_NE(status.message().find("the reader closed the pipe"), std::string::npos);
  ::close(ends[1]);
}

}  // namespace
}  // namespace lipcast::media
