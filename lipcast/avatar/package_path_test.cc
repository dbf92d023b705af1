#include "lipcast/avatar/package_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lipcast::avatar {
namespace {

using testing::HasSubstr;

TEST(PackagePath, OrdinaryAndOddNamesPass) {
  for (const std::string& name :
       {std::string("frames.mp4"), std::string("a/b/c.png"),
        std::string("Анна 🙂/с пробелом.onnx"), std::string("ends with a dot."),
        std::string("..hidden"), std::string("a../b"), std::string("..."), std::string(200, 'x'),
        std::string(kMaxPackagePathBytes, 'y')}) {
    EXPECT_TRUE(CheckPackagePath(name).ok()) << name;
  }
}

TEST(PackagePath, NamesThatLeaveThePackageAreRefusedWithTheReason) {
  const auto refusal = [](std::string_view name) {
    const Status status = CheckPackagePath(name);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << name;
    return status.message();
  };
  EXPECT_EQ(refusal("../x"),
            "'../x' goes upwards: want a relative path inside the package, e.g. frames.mp4");
  EXPECT_THAT(refusal(".."), HasSubstr("goes upwards"));
  EXPECT_THAT(refusal("a/../b"), HasSubstr("goes upwards"));
  EXPECT_THAT(refusal("a/.."), HasSubstr("goes upwards"));
  EXPECT_THAT(refusal("/etc/passwd"), HasSubstr("is absolute"));
  EXPECT_THAT(refusal("C:/x"), HasSubstr("names a drive"));
  EXPECT_THAT(refusal("a\\..\\b"), HasSubstr("has a backslash"));
  EXPECT_THAT(refusal("a//b"), HasSubstr("has an empty part"));
  EXPECT_THAT(refusal("./a"), HasSubstr("has an empty part"));
  EXPECT_THAT(refusal("a/"), HasSubstr("has an empty part"));
  EXPECT_THAT(refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(refusal(std::string_view("a\0b", 3)), HasSubstr("has a control character"));
  EXPECT_THAT(refusal("a\nb"), HasSubstr("'a\\x0ab' has a control character"));
  EXPECT_THAT(refusal("a\xff"), HasSubstr("'a\\xff' is not UTF-8"));
  EXPECT_THAT(refusal(std::string(kMaxPackagePathBytes + 1, 'y')), HasSubstr("has 1025 bytes"));
}

TEST(PackagePath, OnlyWellFormedUtf8IsUtf8) {
  EXPECT_TRUE(IsUtf8("plain, \xc3\xa9, \xe2\x82\xac, \xf0\x9f\x99\x82"));
  EXPECT_TRUE(IsUtf8("\xf4\x8f\xbf\xbf"));
  for (const char* bad : {"\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\x80",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xc3"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

TEST(PackagePath, Utf8SurvivesTheFileSystemsForm) {
  for (const std::string name : {"Анна 🙂", "dot.", "\xff raw"}) {
    EXPECT_EQ(Utf8FromPath(PathFromUtf8(name)), name);
  }
}

TEST(PackagePath, ShownTextIsOneReadableLine) {
  EXPECT_EQ(ShownText("a\nb\t\x7f"), "a\\x0ab\\x09\\x7f");
  EXPECT_EQ(ShownText("é\xff"), "é\\xff");
  EXPECT_EQ(ShownText("abcdef", 6), "abcdef");
  EXPECT_EQ(ShownText("abcdefg", 6), "abcdef...");
  EXPECT_EQ(ShownText("aéé", 4), "aé...") << "never half a character";
}

}  // namespace
}  // namespace lipcast::avatar
