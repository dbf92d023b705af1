#include "lipcast/server/http_target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lipcast::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(HttpTarget, DecodesPathAndQueryEachByItsRules) {
  const auto target = ParseTarget("/v1/avatars/anna%20b+c/%D0%B6?fps=25&text=a+b%26c&flag");
  ASSERT_TRUE(target.ok()) << target.status().ToString();
  EXPECT_THAT(target->segments, ElementsAre("v1", "avatars", "anna b+c", "ж"));
  EXPECT_THAT(target->query,
              ElementsAre(Pair("flag", ""), Pair("fps", "25"), Pair("text", "a b&c")));
  EXPECT_EQ(target->path(), "/v1/avatars/anna b+c/ж");
}

TEST(HttpTarget, TheRootAndATrailingSlashAreFolders) {
  for (const auto& [text, segments] : {std::pair{"/", 0}, {"/page/", 1}}) {
    const auto target = ParseTarget(text);
    ASSERT_TRUE(target.ok());
    EXPECT_TRUE(target->folder);
    EXPECT_EQ(target->segments.size(), segments);
    EXPECT_EQ(target->path(), text);
  }
}

class Tricks : public testing::TestWithParam<std::string> {};

TEST_P(Tricks, AreRefusedWithTheirPlace) {
  const auto target = ParseTarget(GetParam());
  ASSERT_FALSE(target.ok()) << GetParam();
  EXPECT_EQ(target.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(target.status().message(), HasSubstr("want"));
}

INSTANTIATE_TEST_SUITE_P(All, Tricks,
                         testing::Values("", "*", "http://host/path", "v1", "/a/../b",
                                         "/a/%2e%2e/b", "/a/.%2E", "/.", "/%2e/a", "//", "//host/x",
                                         "/a//b", "/a%2fb", "/a%5cb", "/a\\b", "/a%00", "/a%0d%0ab",
                                         "/%", "/%4", "/%zz", "/%c0%ae%c0%ae/x", "/%ff", "/a#b",
                                         "/a\tb", "/a?x=%00", "/a?x=%", "/a?=1", "/a?x=1&x=2",
                                         "/a?%0a=1", "/a?x=%ed%a0%80"));

TEST(HttpTarget, IsBoundedInLengthDepthAndParameters) {
  EXPECT_FALSE(ParseTarget("/" + std::string(kMaxTargetBytes, 'a')).ok());
  std::string deep, many = "/a?";
  for (int i = 0; i < 33; ++i) {
    deep += "/a";
    many += "&p" + std::to_string(i) + "=1";
  }
  EXPECT_THAT(ParseTarget(deep).status().message(), HasSubstr("too deep"));
  EXPECT_FALSE(ParseTarget(many).ok());
}

TEST(HttpTarget, ANumberIsCheckedAgainstItsRange) {
  const auto target = ParseTarget("/?good=100&high=101&word=abc&more=1x&none=&minus=-1");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(*QueryInteger(*target, "good", 1, 100, 7), 100);
  EXPECT_EQ(*QueryInteger(*target, "absent", 1, 100, 7), 7);
  for (const char* name : {"high", "word", "more", "none", "minus"}) {
    EXPECT_THAT(QueryInteger(*target, name, 1, 100, 7).status().message(),
                HasSubstr("want a whole number, 1..100"));
  }
}

TEST(Origin, OnesOwnAndThoseListedAreAllowed) {
  const OriginRules rules{{"https://app.example"}, false};
  EXPECT_TRUE(OriginAllowed("", "lips.example:8080", rules));
  EXPECT_TRUE(OriginAllowed("http://lips.example:8080", "lips.example:8080", rules));
  EXPECT_TRUE(OriginAllowed("https://app.example", "lips.example:8080", rules));
  for (const char* origin :
       {"https://evil.example", "http://lips.example", "null", "https://app.example.evil",
        "http://app.example", "lips.example:8080"}) {
    EXPECT_FALSE(OriginAllowed(origin, "lips.example:8080", rules)) << origin;
  }
  EXPECT_FALSE(OriginAllowed("http://", "", rules));
}

TEST(Origin, ANameThatPointsToLoopbackIsNotLoopback) {
  const OriginRules rules{{"https://app.example"}, true};
  for (const char* host :
       {"127.0.0.1:8080", "localhost:8080", "localhost", "[::1]:8080", "[::1]"}) {
    EXPECT_TRUE(OriginAllowed(std::string("http://") + host, host, rules)) << host;
  }
  EXPECT_FALSE(OriginAllowed("http://evil.example:8080", "evil.example:8080", rules));
  EXPECT_FALSE(OriginAllowed("http://127.0.0.1.evil.example", "127.0.0.1.evil.example", rules));
  EXPECT_TRUE(OriginAllowed("https://app.example", "127.0.0.1:8080", rules));
}

TEST(Origin, HeadersLetListedPagesReadAndEveryPageWhatIsForAll) {
  using Headers = std::vector<std::pair<std::string, std::string>>;
  const OriginRules none, rules{{"https://app.example"}, false};
  EXPECT_EQ(OriginHeaders("https://app.example", false, false, none), Headers());
  EXPECT_EQ(OriginHeaders("", true, true, none), Headers());
  // Whoever asks first: a cache between must not give one page the answer to another.
  const std::pair<std::string, std::string> vary{"Vary", "Origin"};
  EXPECT_EQ(OriginHeaders("", false, false, rules), Headers{vary});
  EXPECT_EQ(OriginHeaders("https://evil.example", false, true, rules), Headers{vary});
  EXPECT_EQ(OriginHeaders("https://app.example", false, false, rules),
            (Headers{vary, {"Access-Control-Allow-Origin", "https://app.example"}}));
  EXPECT_EQ(OriginHeaders("https://evil.example", true, false, rules),
            (Headers{vary, {"Access-Control-Allow-Origin", "*"}}));
  EXPECT_EQ(OriginHeaders("https://app.example", false, true, rules).size(), 5U);
}

TEST(Host, OnLoopbackOnlyItsNamesAndThoseOfListedPages) {
  const OriginRules rules{{"https://app.example", "http://dev.example:81"}, true};
  for (const char* host : {"", "127.0.0.1:8080", "localhost:8080", "LocalHost", "[::1]:8080",
                           "[::1]", "127.9.9.9", "app.example", "dev.example:81"}) {
    EXPECT_TRUE(HostAllowed(host, rules)) << host;
  }
  for (const char* host :
       {"evil.example:8080", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example",
        "app.example:8080", "dev.example", "[::2]", "[", ":", "0.0.0.0", "192.168.1.1:8080"}) {
    EXPECT_FALSE(HostAllowed(host, rules)) << host;
    EXPECT_TRUE(HostAllowed(host, {{}, false})) << host;
  }
}

}  // namespace
}  // namespace lipcast::server
