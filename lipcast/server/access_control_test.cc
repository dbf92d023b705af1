#include "lipcast/server/access_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "lipcast/base/test_folder.h"
#include "lipcast/server/prometheus_metrics.h"

namespace lipcast::server {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kGood = "Bearer right-token-0123456789";
constexpr const char* kWrong = "Bearer wrong-token-0123456789";

class Tokens : public testing::Test {
 protected:
  Result<TokenSet> Read(const std::string& text, fs::perms mode = fs::perms::owner_read) {
    fs::remove(file_);
    std::ofstream(file_) << text;
    fs::permissions(file_, mode);
    return TokenSet::Read(file_, &open_to_others_);
  }
  void Ask(AccessControl& access) {
    auto tokens = Read("# ours\nright-token-0123456789 # laptop\n\nsecond-token-0123456789\r\n");
    ASSERT_TRUE(tokens.ok()) << tokens.status().ToString();
    access.SetTokens(*std::move(tokens));
  }

  const TempFolder folder_;
  const fs::path file_ = folder_ / "tokens.txt";
  bool open_to_others_ = false;
  FakeClock clock_;
  PrometheusMetrics metrics_;
};

TEST_F(Tokens, AreReadOneALineWithComments) {
  const auto tokens =
      Read("# all of ours\n  first-token-0123456789  # a\n\nsecond-token-0123456789\r\n");
  ASSERT_TRUE(tokens.ok()) << tokens.status().ToString();
  EXPECT_EQ(tokens->size(), 2U);
  EXPECT_TRUE(tokens->Contains("first-token-0123456789"));
  EXPECT_TRUE(tokens->Contains("second-token-0123456789"));
  for (const char* none :
       {"", "first-token-012345678", "# all of ours", "first-token-0123456789 "}) {
    EXPECT_FALSE(tokens->Contains(none)) << none;
  }
}

TEST_F(Tokens, AFileWithoutGoodOnesIsRefusedWithItsLineButNotItsWords) {
  EXPECT_THAT(Read("").status().message(), HasSubstr("tokens.txt: has no token"));
  EXPECT_THAT(Read("# only\n\n").status().message(), HasSubstr("has no token"));
  for (const char* bad : {"short-secret", "a secret with spaces in it", "secret-\x01-0123456789abc",
                          "secret-\xff-0123456789abc"}) {
    const Status status = Read(std::string("good-token-0123456789\n") + bad + "\n").status();
    EXPECT_THAT(status.message(), HasSubstr("tokens.txt: line 2: want 16 to 4096"));
    EXPECT_THAT(status.message(), Not(HasSubstr("secret")));
  }
  EXPECT_THAT(TokenSet::Read("/nowhere/tokens", &open_to_others_).status().message(),
              HasSubstr("listen.tokens: /nowhere/tokens: want a file"));
  EXPECT_FALSE(TokenSet::Read(folder_.path(), &open_to_others_).ok());
}

TEST_F(Tokens, AFileThatOthersMayReadIsTold) {
  using fs::perms;
  const perms owner = perms::owner_read | perms::owner_write;
  ASSERT_TRUE(Read("good-token-0123456789", owner | perms::group_read).ok());
  EXPECT_FALSE(open_to_others_);
  ASSERT_TRUE(Read("good-token-0123456789", owner | perms::others_read).ok());
  EXPECT_TRUE(open_to_others_);
}

TEST_F(Tokens, WithoutAnyNobodyIsAsked) {
  AccessControl access({}, clock_, metrics_);
  EXPECT_FALSE(access.asks());
  EXPECT_TRUE(access.CheckHeader("", "10.0.0.1").ok());
  EXPECT_TRUE(access.CheckSessionToken("", "10.0.0.1").ok());
}

TEST_F(Tokens, OnlyARightOneInTheHeaderIsLetIn) {
  AccessControl access({}, clock_, metrics_);
  Ask(access);
  EXPECT_TRUE(access.asks());
  for (const char* good : {kGood, "bearer   second-token-0123456789"}) {
    EXPECT_TRUE(access.CheckHeader(good, "10.0.0.1").ok()) << good;
  }
  for (const char* bad : {"", kWrong, "Bearer", "Bearer ", "right-token-0123456789",
                          "Basic right-token-0123456789", "Bearer right-token-012345678"}) {
    const Status status = access.CheckHeader(bad, "10.0.0.1");
    EXPECT_EQ(status.code(), Code::kUnauthenticated) << bad;
    EXPECT_THAT(status.message(), Not(HasSubstr("token-0")));
  }
  EXPECT_THAT(metrics_.Render(), HasSubstr("auth_failures_total{reason=\"missing\"} 1"));
}

TEST_F(Tokens, TooManyWrongOnesShutAnAddressOutForAWhileAndNoOther) {
  AccessControl access({0, 3}, clock_, metrics_);
  Ask(access);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(access.CheckHeader(kWrong, "10.0.0.1").code(), Code::kUnauthenticated);
  }
  EXPECT_EQ(access.CheckHeader(kWrong, "10.0.0.1").code(), Code::kResourceExhausted);
  EXPECT_EQ(access.CheckHeader(kGood, "10.0.0.1").code(), Code::kResourceExhausted);
  EXPECT_TRUE(access.CheckHeader(kGood, "10.0.0.2").ok());
  EXPECT_TRUE(access.CheckHeader(kGood, "").ok());
  clock_.Advance(seconds(20));
  EXPECT_TRUE(access.CheckHeader(kGood, "10.0.0.1").ok());
}

TEST_F(Tokens, AnAddressThatShowsNoneIsNotShutOut) {
  AccessControl access({0, 1}, clock_, metrics_);
  Ask(access);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(access.CheckHeader("", "10.0.0.1").code(), Code::kUnauthenticated);
  }
  EXPECT_TRUE(access.CheckHeader(kGood, "10.0.0.1").ok());
}

TEST_F(Tokens, ASessionTokenIsGoodOnceAndFor60Seconds) {
  AccessControl access({}, clock_, metrics_);
  Ask(access);
  const auto first = access.IssueSessionToken(), second = access.IssueSessionToken();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->size(), 64U);
  EXPECT_NE(*first, *second);
  EXPECT_TRUE(access.CheckSessionToken(*first, "a").ok());
  EXPECT_EQ(access.CheckSessionToken(*first, "a").code(), Code::kUnauthenticated);
  EXPECT_EQ(access.CheckSessionToken("", "a").code(), Code::kUnauthenticated);
  clock_.Advance(AccessControl::kSessionTokenLife - milliseconds(1));
  const auto late = access.IssueSessionToken();
  EXPECT_TRUE(access.CheckSessionToken(*second, "a").ok());
  clock_.Advance(AccessControl::kSessionTokenLife);
  EXPECT_EQ(access.CheckSessionToken(*late, "a").code(), Code::kUnauthenticated);
}

TEST_F(Tokens, SessionTokensAreBoundedAndOldOnesMakeRoom) {
  AccessControl access({}, clock_, metrics_);
  Ask(access);
  std::set<std::string> all;
  for (size_t i = 0; i < AccessControl::kMaxSessionTokens; ++i) {
    all.insert(*access.IssueSessionToken());
  }
  EXPECT_EQ(all.size(), AccessControl::kMaxSessionTokens);
  EXPECT_EQ(access.IssueSessionToken().status().code(), Code::kResourceExhausted);
  clock_.Advance(AccessControl::kSessionTokenLife);
  EXPECT_TRUE(access.IssueSessionToken().ok());
}

TEST_F(Tokens, NewTokensEndTheSessionTokensOfTheOld) {
  AccessControl access({}, clock_, metrics_);
  Ask(access);
  const auto token = access.IssueSessionToken();
  Ask(access);
  EXPECT_FALSE(access.CheckSessionToken(*token, "a").ok());
}

TEST_F(Tokens, OpensAreLimitedByAddress) {
  AccessControl access({5, 0}, clock_, metrics_);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(access.AllowOpen("10.0.0.1").ok());
  EXPECT_EQ(access.AllowOpen("10.0.0.1").code(), Code::kResourceExhausted);
  EXPECT_TRUE(access.AllowOpen("10.0.0.2").ok());
  clock_.Advance(milliseconds(200));
  EXPECT_TRUE(access.AllowOpen("10.0.0.1").ok());
  EXPECT_FALSE(access.AllowOpen("10.0.0.1").ok());
  access.SetLimits({});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(access.AllowOpen("10.0.0.1").ok());
}

TEST(RateLimiter, RemembersABoundedNumberOfKeysAndForgetsTheOldestFirst) {
  const FakeClock clock;
  RateLimiter limiter(1, 1, clock, 100);
  EXPECT_TRUE(limiter.Take("busy"));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(limiter.Take("key" + std::to_string(i)));
    EXPECT_FALSE(limiter.Take("busy"));
  }
  EXPECT_EQ(limiter.keys(), 100U);
  EXPECT_TRUE(limiter.Allows("key0"));
  EXPECT_FALSE(limiter.Allows("key999"));
}

TEST(RateLimiter, CountsAnIpv6NetworkAsOneAddress) {
  EXPECT_EQ(RateKeyOf("2001:db8:1:2:3:4:5:6"), RateKeyOf("2001:db8:1:2::9"));
  EXPECT_NE(RateKeyOf("2001:db8:1:2::9"), RateKeyOf("2001:db8:1:3::9"));
  EXPECT_EQ(RateKeyOf("::ffff:10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(RateKeyOf("10.0.0.1"), "10.0.0.1");
}

TEST(AddressOfPeer, IsWithoutKindAndPort) {
  EXPECT_EQ(AddressOfPeer("ipv4:10.0.0.1:5000"), "10.0.0.1");
  EXPECT_EQ(AddressOfPeer("ipv6:%5B::1%5D:5000"), "::1");
  EXPECT_EQ(AddressOfPeer("ipv6:[2001:db8::1]:5000"), "2001:db8::1");
  EXPECT_EQ(AddressOfPeer("unix:/tmp/x"), "unix:/tmp/x");
}

}  // namespace
}  // namespace lipcast::server
