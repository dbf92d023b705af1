#include "lipcast/server/web_page.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <optional>

namespace lipcast::server {
namespace {

class Kept final : public HttpReply {
 public:
  void Send(HttpAnswer answer) override { answer_ = std::move(answer); }
  void Begin(HttpAnswer, Stream) override {}
  void Write(std::string) override {}
  void End() override {}
  std::optional<HttpAnswer> answer_;
};

HttpAnswer Ask(const std::string& path, const std::string& known = "") {
  HttpRouter router;
  EXPECT_TRUE(router.Add(WebPageRoutes()).ok());
  HttpCall call;
  call.target = *ParseTarget(path);
  const auto match = router.Find("GET", call.target);
  if (match.route == nullptr) return {404};
  EXPECT_TRUE(match.route->open) << path;
  call.path = match.path;
  if (!known.empty()) call.headers["if-none-match"] = known;
  const auto reply = std::make_shared<Kept>();
  match.route->handler(call, reply);
  return reply->answer_.value();
}

std::string Header(const HttpAnswer& answer, const std::string& name) {
  for (const auto& [key, value] : answer.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST(WebPage, EveryFileIsServedByteForByte) {
  ASSERT_GT(WebFiles().size(), 5u);
  for (const WebFile& file : WebFiles()) {
    std::ifstream in(LIPCAST_SOURCE_DIR "/web/" + std::string(file.name), std::ios::binary);
    const std::string wanted{std::istreambuf_iterator<char>(in), {}};
    const HttpAnswer answer = Ask("/app/" + std::string(file.name));
    EXPECT_EQ(answer.code, 200) << file.name;
    EXPECT_EQ(answer.body, wanted) << file.name;
    EXPECT_NE(answer.type, "application/octet-stream") << file.name;
  }
  EXPECT_EQ(Ask("/").body, Ask("/app/index.html").body);
  EXPECT_EQ(Ask("/app/none.js").code, 404);
}

TEST(WebPage, NothingInlineAndNothingFromElsewhereMayRun) {
  const std::string policy = Header(Ask("/"), "Content-Security-Policy");
  EXPECT_NE(policy.find("default-src 'none'"), std::string::npos) << policy;
  EXPECT_EQ(policy.find("unsafe"), std::string::npos) << policy;
  EXPECT_EQ(policy.find("http"), std::string::npos) << policy;
}

TEST(WebPage, ABrowserThatHasAFileIsNotSentItAgain) {
  const HttpAnswer first = Ask("/app/page.js");
  const HttpAnswer again = Ask("/app/page.js", Header(first, "ETag"));
  EXPECT_EQ(again.code, 304);
  EXPECT_EQ(again.body, "");
  EXPECT_EQ(Header(again, "ETag"), Header(first, "ETag"));
  EXPECT_EQ(Ask("/app/page.js", "\"other\"").code, 200);
}

TEST(WebPage, AddressesInThePageAreRelative) {  // so that it works below a proxy's prefix
  const std::string page = Ask("/").body;
  EXPECT_EQ(page.find("=\"/"), std::string::npos);
  EXPECT_EQ(page.find("=\"http"), std::string::npos);
}

}  // namespace
}  // namespace lipcast::server
