#include "lipcast/avatar/find_avatar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lipcast/avatar/package_path.h"
#include "lipcast/avatar/test_package.h"

namespace lipcast::avatar {
namespace {

namespace fs = std::filesystem;

class FindAvatarTest : public testing::Test {
 protected:
  FindAvatarTest() {
    WriteFile(first() / "anna" / "avatar.json", "{}");
    WriteFile(second() / "anna" / "avatar.json", "{}");
    WriteFile(second() / "bert.zip", "zip");
    fs::create_directories(first() / "empty");
    WriteFile(first() / "file", "text");
  }
  fs::path first() const { return folder_.path() / "one"; }
  fs::path second() const { return folder_.path() / "two"; }
  Result<fs::path> Find(const std::string& name) const {
    const fs::path roots[] = {first(), second()};
    return FindAvatar(name, roots);
  }
  std::string Refusal(const std::string& name, Code code) const {
    const auto found = Find(name);
    EXPECT_EQ(found.status().code(), code) << name;
    return found.status().message();
  }

  TempFolder folder_;
};

TEST_F(FindAvatarTest, ABareNameIsLookedUpInTheRootsInTurn) {
  EXPECT_EQ(*Find("anna"), first() / "anna");
  EXPECT_EQ(*Find("bert"), second() / "bert.zip");
}

TEST_F(FindAvatarTest, APathIsTakenAsItIs) {
  EXPECT_EQ(*Find((second() / "anna").string()), second() / "anna");
  EXPECT_EQ(*Find((second() / "bert.zip").string()), second() / "bert.zip");
  EXPECT_EQ(*Find((second() / "anna" / "").string()), second() / "anna" / "");
}

TEST_F(FindAvatarTest, ANameThatIsNowhereListsWhereItLooked) {
  EXPECT_EQ(Refusal("carl", Code::kNotFound),
            "avatar 'carl': not found; looked for " + (first() / "carl").string() + ", " +
                (first() / "carl.zip").string() + ", " + (second() / "carl").string() + ", " +
                (second() / "carl.zip").string() + " (a path needs a '/': ./carl)");
  EXPECT_EQ(FindAvatar("carl", {}).status().message(),
            "avatar 'carl': not found; looked for nowhere, as no avatar folder is configured (a"
            " path needs a '/': ./carl)");
}

TEST_F(FindAvatarTest, APathThatIsNoAvatarSaysWhatIsThere) {
  const std::string none = (first() / "none").string();
  EXPECT_EQ(Refusal(none, Code::kNotFound),
            "avatar '" + none + "': " + none + " does not exist here");
  const std::string empty = (first() / "empty").string();
  EXPECT_EQ(Refusal(empty, Code::kInvalidArgument),
            "avatar '" + empty + "': " + empty + " has no avatar.json: want an avatar's folder");
  const std::string file = (first() / "file").string();
  EXPECT_EQ(
      Refusal(file, Code::kInvalidArgument),
      "avatar '" + file + "': " + file + " is a file: want a folder with avatar.json or a .zip");
  EXPECT_THAT(Refusal(file + "/x", Code::kNotFound), testing::HasSubstr("does not exist here"));
}

TEST_F(FindAvatarTest, ARelativePathIsShownAsTheProgramSeesIt) {
  const std::string absolute = (fs::current_path() / "no-such-avatar").string();
  EXPECT_EQ(Refusal("./no-such-avatar", Code::kNotFound),
            "avatar './no-such-avatar': " + absolute + " does not exist here");
  EXPECT_THAT(Refusal("no-such-avatar.zip", Code::kNotFound),
              testing::HasSubstr(absolute + ".zip does not exist here"));
}

TEST_F(FindAvatarTest, OddNamesAreRefusedOrFoundNeverMisread) {
  EXPECT_EQ(Refusal("", Code::kInvalidArgument),
            "avatar '': want a name, or the path of a folder or .zip");
  EXPECT_THAT(Refusal(std::string("a\0b", 3), Code::kInvalidArgument),
              testing::HasSubstr("'a\\x00b'"));
  EXPECT_THAT(Refusal("a\nb", Code::kNotFound), testing::Not(testing::HasSubstr("\n")));
  Refusal(std::string(5'000, 'x'), Code::kNotFound);
  for (const std::string name : {"Анна 🙂 с пробелом", "trailing dot."}) {
    WriteFile(second() / PathFromUtf8(name) / "avatar.json", "{}");
    EXPECT_EQ(*Find(name), second() / PathFromUtf8(name));
  }
}

}  // namespace
}  // namespace lipcast::avatar
