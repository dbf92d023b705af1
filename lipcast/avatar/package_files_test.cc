#include "lipcast/avatar/package_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zip.h>

#include <algorithm>

#include "lipcast/avatar/package_path.h"
#include "lipcast/avatar/test_package.h"

namespace lipcast::avatar {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

std::string TextOf(const SharedBytes& bytes) { return {bytes->begin(), bytes->end()}; }

std::string Pattern(size_t bytes) {
  std::string text(bytes, ' ');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * i / 7 + i);
  return text;
}

struct RawEntry {
  std::string name;
  std::string bytes = "content";
  uint32_t unix_mode = 0100644;
};

class PackageFilesTest : public testing::Test {
 protected:
  PackageFilesTest() {
    WriteFile(folder() / "avatar.json", "{}");
    WriteFile(folder() / "inner" / "file.bin", Pattern(700'000));
    WriteFile(folder() / "Анна 🙂" / "с пробелом.", "odd");
    WriteFile(folder() / "empty", "");
  }
  fs::path folder() const { return temp_.path() / "package"; }
  fs::path zip() const { return temp_.path() / "package.zip"; }

  std::unique_ptr<PackageFiles> Opened(const fs::path& path) const {
    auto files = PackageFiles::Open(path);
    EXPECT_TRUE(files.ok()) << files.status().ToString();
    return files.ok() ? *std::move(files) : nullptr;
  }
  Status OpenRaw(const std::vector<RawEntry>& entries, uint16_t encryption = ZIP_EM_NONE) const {
    zip_t* const archive = zip_open(zip().c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
    for (const RawEntry& entry : entries) {
      zip_source_t* const source =
          zip_source_buffer(archive, entry.bytes.data(), entry.bytes.size(), 0);
      const zip_int64_t index = zip_file_add(archive, entry.name.c_str(), source, 0);
      EXPECT_GE(index, 0);
      zip_file_set_external_attributes(archive, static_cast<zip_uint64_t>(index), 0, ZIP_OPSYS_UNIX,
                                       entry.unix_mode << 16);
      if (encryption != ZIP_EM_NONE) {
        zip_file_set_encryption(archive, static_cast<zip_uint64_t>(index), encryption, "secret");
      }
    }
    EXPECT_EQ(zip_close(archive), 0);
    return PackageFiles::Open(zip()).status();
  }
  /// Replaces a text of equal length everywhere in the archive's file.
  void PatchZip(const std::string& from, const std::string& to) const {
    ASSERT_EQ(from.size(), to.size());
    std::string bytes = ReadFile(zip());
    int found = 0;
    for (size_t at = bytes.find(from); at != bytes.npos; at = bytes.find(from, at + to.size())) {
      bytes.replace(at, from.size(), to);
      ++found;
    }
    ASSERT_GT(found, 0);
    WriteFile(zip(), bytes);
  }

  TempFolder temp_;
};

TEST_F(PackageFilesTest, AZipEqualsTheFolderItWasMadeOf) {
  ZipFolder(folder(), zip());
  const fs::path topped = temp_.path() / "topped.zip";
  ZipFolder(folder(), topped, "anna/");
  for (const fs::path& path : {folder(), zip(), topped}) {
    const auto files = Opened(path);
    EXPECT_EQ(TextOf(*files->Read("inner/file.bin")), Pattern(700'000)) << path;
    EXPECT_EQ(TextOf(*files->Read("Анна 🙂/с пробелом.")), "odd") << path;
    EXPECT_EQ(*files->SizeBytes("inner/file.bin"), 700'000) << path;
    EXPECT_EQ(TextOf(*files->Read("empty")), "") << path;
    EXPECT_EQ(*files->Sha256("inner/file.bin"), *Opened(folder())->Sha256("inner/file.bin"));
    EXPECT_TRUE(files->Exists("avatar.json")) << path;
    EXPECT_FALSE(files->Exists("none")) << path;
    EXPECT_FALSE(files->Exists("inner")) << path;
    EXPECT_EQ(files->Read("none").status().message(), "none: no such file in the package");
    EXPECT_EQ(files->Read("none").status().code(), Code::kNotFound);
    EXPECT_EQ(files->Read("avatar.json/x").status().code(), Code::kNotFound);
    EXPECT_EQ(files->Read("../package/avatar.json").status().code(), Code::kInvalidArgument);
    EXPECT_EQ(files->Read("inner/file.bin", 699'999).status().message(),
              "inner/file.bin has 700000 bytes: want at most 699999");
  }
}

TEST_F(PackageFilesTest, ADecoderGetsAPathFromAFolderAndBytesFromAZip) {
  ZipFolder(folder(), zip());
  const auto on_disk = Opened(folder())->Source("inner/file.bin");
  ASSERT_TRUE(on_disk.ok());
  EXPECT_EQ(on_disk->bytes, nullptr);
  EXPECT_EQ(ReadFile(on_disk->path), Pattern(700'000));
  const auto packed = Opened(zip())->Source("inner/file.bin");
  ASSERT_TRUE(packed.ok());
  EXPECT_TRUE(packed->path.empty());
  EXPECT_EQ(TextOf(packed->bytes), Pattern(700'000));
}

TEST_F(PackageFilesTest, OddPathsOfThePackageItselfWork) {
  for (const std::string& name :
       {std::string("Анна Ö"), std::string("emoji 🙂 space"), std::string(200, 'l'),
        std::string("dot."), std::string("'quote\" $x")}) {
    const fs::path path = temp_.path() / PathFromUtf8(name);
    WriteFile(path / "avatar.json", "here");
    EXPECT_EQ(TextOf(*Opened(path)->Read("avatar.json")), "here");
    const fs::path packed = temp_.path() / PathFromUtf8(name + ".zip");
    ZipFolder(path, packed);
    EXPECT_EQ(TextOf(*Opened(packed)->Read("avatar.json")), "here");
  }
}

TEST_F(PackageFilesTest, ALinkMayNotLeadOutOfThePackage) {
  WriteFile(temp_.path() / "secret", "secret");
  WriteFile(temp_.path() / "package-twin" / "secret", "secret");
  fs::create_symlink("../secret", folder() / "out");
  fs::create_symlink(temp_.path() / "package-twin", folder() / "twin");
  fs::create_symlink("inner/file.bin", folder() / "in");
  fs::create_symlink("nowhere", folder() / "dangling");
  fs::create_symlink("round", folder() / "round");
  const auto files = Opened(folder());
  EXPECT_EQ(files->Read("out").status().message(),
            "out: leads out of the package: want a file inside it");
  EXPECT_EQ(files->Source("out").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(files->Sha256("out").status().code(), Code::kInvalidArgument);
  EXPECT_FALSE(files->Exists("out"));
  EXPECT_EQ(files->Read("twin/secret").status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(files->Read("in").ok());
  EXPECT_EQ(files->Read("dangling").status().code(), Code::kNotFound);
  EXPECT_EQ(files->Read("round").status().code(), Code::kInvalidArgument);
  // The package itself may be reached through a link.
  fs::create_symlink(folder(), temp_.path() / "alias");
  EXPECT_TRUE(Opened(temp_.path() / "alias")->Exists("avatar.json"));
}

TEST_F(PackageFilesTest, OnlyRegularFilesAreOpened) {
  // A pipe would block whoever opens it.
  ASSERT_EQ(mkfifo((folder() / "pipe").c_str(), 0600), 0);
  const auto files = Opened(folder());
  EXPECT_EQ(files->Read("pipe").status().message(), "pipe: want a regular file");
  EXPECT_EQ(files->Read("inner").status().message(), "inner: want a regular file");
  EXPECT_EQ(PackageFiles::Open(folder() / "pipe").status().message(),
            "is neither a folder nor a file");
  EXPECT_EQ(PackageFiles::Open(temp_.path() / "none").status().code(), Code::kNotFound);
  EXPECT_EQ(PackageFiles::Open(folder() / "avatar.json" / "x").status().message(),
            "no such folder or .zip file");
}

TEST_F(PackageFilesTest, WhatIsNoZipIsRefused) {
  WriteFile(zip(), "this is no archive");
  EXPECT_THAT(PackageFiles::Open(zip()).status().message(),
              testing::AllOf(StartsWith("cannot be read as .zip ("),
                             HasSubstr("want a folder or a .zip file")));
  ZipFolder(folder(), zip());
  const std::string whole = ReadFile(zip());
  for (const size_t bytes : {size_t{0}, whole.size() / 2, whole.size() - 1}) {
    WriteFile(zip(), whole.substr(0, bytes));
    EXPECT_EQ(PackageFiles::Open(zip()).status().code(), Code::kInvalidArgument) << bytes;
  }
}

TEST_F(PackageFilesTest, AZipWithAnEntryThatLeavesThePackageIsRefusedWhole) {
  EXPECT_EQ(OpenRaw({{"avatar.json"}, {"../evil"}}).message(),
            ".zip entry: '../evil' goes upwards: want a relative path inside the package, e.g."
            " frames.mp4");
  EXPECT_THAT(OpenRaw({{"/evil"}}).message(), HasSubstr("is absolute"));
  EXPECT_THAT(OpenRaw({{"a\\..\\evil"}}).message(), HasSubstr("has a backslash"));
  EXPECT_EQ(OpenRaw({{"link", "/etc/passwd", 0120777}}).message(),
            ".zip entry 'link' is a symbolic link: want the file itself");
  EXPECT_EQ(OpenRaw({{"avatar.json"}}, ZIP_EM_AES_256).message(),
            ".zip entry 'avatar.json' is encrypted: want a plain archive");
  ASSERT_TRUE(OpenRaw({{"avatar.json"}, {"file-1"}, {"file-2"}}).ok());
  PatchZip("file-2", "file-1");
  EXPECT_EQ(PackageFiles::Open(zip()).status().message(),
            ".zip entry 'file-1' is there twice: want it once");
}

TEST_F(PackageFilesTest, EntriesOfFoldersAreLeftOutAndCheckedToo) {
  ASSERT_TRUE(
      OpenRaw({{"anna/", "", 040755}, {"anna/avatar.json"}, {"anna/in/", "", 040755}}).ok());
  EXPECT_TRUE(Opened(zip())->Exists("avatar.json"));
  EXPECT_FALSE(Opened(zip())->Exists("in"));
  EXPECT_THAT(OpenRaw({{"avatar.json"}, {"../evil/", "", 040755}}).message(),
              HasSubstr("goes upwards"));
}

TEST_F(PackageFilesTest, OneTopFolderIsTakenOffTwoAreNot) {
  ASSERT_TRUE(OpenRaw({{"anna/avatar.json"}, {"anna/x"}, {"__MACOSX/junk"}}).ok());
  EXPECT_TRUE(Opened(zip())->Exists("x"));
  EXPECT_FALSE(Opened(zip())->Exists("__MACOSX/junk"));
  ASSERT_TRUE(OpenRaw({{"anna/avatar.json"}, {"bert/avatar.json"}}).ok());
  EXPECT_FALSE(Opened(zip())->Exists("avatar.json"));
  ASSERT_TRUE(OpenRaw({{"avatar.json"}, {"anna/avatar.json"}}).ok());
  EXPECT_TRUE(Opened(zip())->Exists("anna/avatar.json"));
}

/// Little-endian, as the archive stores sizes.
std::string Le32(uint32_t value) {
  std::string bytes(4, ' ');
  for (int i = 0; i < 4; ++i) bytes[static_cast<size_t>(i)] = static_cast<char>(value >> (8 * i));
  return bytes;
}

TEST_F(PackageFilesTest, ABombIsRefusedBeforeItIsUnpacked) {
  const std::string filler(100'003, 'b');
  ASSERT_TRUE(OpenRaw({{"avatar.json"}, {"bomb", filler}}).ok());
  PatchZip(Le32(100'003), Le32((1u << 30) + 1));
  EXPECT_EQ(PackageFiles::Open(zip()).status().message(),
            ".zip entry 'bomb' unpacks to 1073741825 bytes: want at most 1073741824");
  std::vector<RawEntry> many;
  for (int i = 0; i < 5; ++i) many.push_back({"bomb" + std::to_string(i), filler});
  ASSERT_TRUE(OpenRaw(many).ok());
  PatchZip(Le32(100'003), Le32(1u << 30));
  EXPECT_EQ(PackageFiles::Open(zip()).status().message(),
            ".zip unpacks to over 4294967296 bytes: want at most that");
  EXPECT_EQ(PackageFiles::Open(zip()).status().code(), Code::kResourceExhausted);
}

TEST_F(PackageFilesTest, AZipWhoseSizesOrContentsLieIsFoundOutWhenRead) {
  const std::string content = Pattern(100'003);
  ASSERT_TRUE(OpenRaw({{"avatar.json"}, {"file", content}}).ok());
  const std::string good = ReadFile(zip());
  for (const uint32_t lie : {50'000u, 500'000'000u}) {
    WriteFile(zip(), good);
    PatchZip(Le32(100'003), Le32(lie));
    const auto files = Opened(zip());
    const auto read = files->Read("file");
    EXPECT_EQ(read.status().code(), Code::kDataLoss) << lie;
    EXPECT_THAT(read.status().message(), StartsWith("file: broken in the .zip: ")) << lie;
    EXPECT_EQ(files->Sha256("file").status().code(), Code::kDataLoss) << lie;
  }
  std::string flipped = good;
  flipped[flipped.find("file") + 1'000] ^= 0x55;
  WriteFile(zip(), flipped);
  EXPECT_EQ(Opened(zip())->Read("file").status().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace lipcast::avatar
