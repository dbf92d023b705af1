#include "lipcast/server/http_router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <stdexcept>

#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

HttpRoute Route(std::string method, std::string pattern) {
  return {std::move(method), std::move(pattern),
          AnswerAtOnce([](const HttpCall&) { return HttpAnswer{}; })};
}

HttpRouter::Match Find(const HttpRouter& router, const std::string& method,
                       const std::string& target) {
  return router.Find(method, *ParseTarget(target));
}

TEST(HttpRouter, FindsByMethodAndPatternAndNamesTheSteps) {
  HttpRouter router;
  ASSERT_TRUE(router
                  .Add({Route("GET", "/v1/avatars"), Route("POST", "/v1/avatars/{name}/load"),
                        Route("GET", "/v1/avatars/{name}"), Route("DELETE", "/v1/avatars/{name}"),
                        Route("GET", "/v1/avatars/all"), Route("GET", "/")})
                  .ok());
  const auto load = Find(router, "POST", "/v1/avatars/anna%20b/load");
  ASSERT_NE(load.route, nullptr);
  EXPECT_EQ(load.route->pattern, "/v1/avatars/{name}/load");
  EXPECT_THAT(load.path, ElementsAre(Pair("name", "anna b")));
  EXPECT_EQ(Find(router, "GET", "/v1/avatars/all").route->pattern, "/v1/avatars/all");
  EXPECT_EQ(Find(router, "HEAD", "/v1/avatars/x").route->pattern, "/v1/avatars/{name}");
  EXPECT_EQ(Find(router, "GET", "/").route->pattern, "/");
  EXPECT_EQ(Find(router, "GET", "/v1").allow, "");
  EXPECT_EQ(Find(router, "GET", "/v1/avatars/").allow, "");
  const auto wrong = Find(router, "PUT", "/v1/avatars/anna");
  EXPECT_EQ(wrong.route, nullptr);
  EXPECT_EQ(wrong.allow, "GET, HEAD, DELETE, OPTIONS");
}

TEST(HttpRouter, RefusesPatternsThatAreNoneOrStandTwice) {
  HttpRouter router;
  EXPECT_TRUE(router.Add(Route("GET", "/a/{b}")).ok());
  EXPECT_EQ(router.Add(Route("GET", "/a/{b}")).code(), Code::kAlreadyExists);
  EXPECT_EQ(router.Add(Route("GET", "a")).code(), Code::kInvalidArgument);
  EXPECT_EQ(router.Add({"GET", "/x", nullptr}).code(), Code::kInvalidArgument);
}

TEST(HttpRouter, RefusesParametersAndTypesThatTheRouteDoesNotTake) {
  HttpRoute route = Route("POST", "/v1/renders");
  route.query = {"fps"};
  route.body = HttpBody::kFile;
  route.types = {"audio/*", "application/ogg"};
  const auto code = [&](const char* target, const char* type) {
    const auto refused = RefuseCall(route, *ParseTarget(target), type, true);
    return refused ? refused->code : 0;
  };
  EXPECT_EQ(code("/v1/renders?fps=25", "Audio/WAV; rate=16000"), 0);
  EXPECT_EQ(code("/v1/renders", "application/ogg"), 0);
  EXPECT_EQ(code("/v1/renders", "text/html"), 415);
  EXPECT_EQ(code("/v1/renders", ""), 415);
  EXPECT_EQ(code("/v1/renders?fpt=25", "audio/wav"), 400);
}

TEST(FailureAnswer, IsJsonWithTheCodeOfTheStatus) {
  const HttpAnswer answer = FailureAnswer(Status(Code::kNotFound, "avatar 'a\"\xff': none"));
  EXPECT_EQ(answer.code, 404);
  EXPECT_EQ(answer.type, "application/json");
  EXPECT_EQ(answer.body,
            "{\"code\":\"NOT_FOUND\",\"message\":\"avatar 'a\\\"\xEF\xBF\xBD': none\","
            "\"reason\":\"NOT_FOUND\"}\n");
  EXPECT_THAT(FailureAnswer(Status(Code::kUnauthenticated, "")).headers,
              ElementsAre(Pair("WWW-Authenticate", "Bearer")));
  const HttpAnswer full = FailureAnswer(refusal::Exhausted(refusal::kHeadroom, ""));
  EXPECT_THAT(full.headers, ElementsAre(Pair("Retry-After", testing::MatchesRegex("[1-5]"))));
  EXPECT_THAT(full.body, testing::HasSubstr("\"reason\":\"HEADROOM\""));
  EXPECT_THAT(FailureAnswer(refusal::Exhausted(refusal::kSize, "")).headers, ElementsAre())
      << "no waiting makes it smaller";
  EXPECT_EQ(FailureAnswer(Status(Code::kInvalidArgument, ""), 413).code, 413);
}

TEST(FailureAnswer, EveryCodeHasItsHttpCode) {
  const int wanted[] = {200, 499, 500, 400, 504, 404, 409, 403, 503,
                        409, 409, 400, 501, 500, 503, 500, 401};
  for (int code = 0; code < static_cast<int>(std::size(wanted)); ++code) {
    EXPECT_EQ(HttpCodeOf(static_cast<Code>(code)), wanted[code]) << code;
  }
}

class Kept final : public HttpReply {
 public:
  void Send(HttpAnswer one) override {
    answer = std::move(one);
    sent.count_down();
  }
  void Begin(HttpAnswer, Stream) override {}
  void Write(std::string) override {}
  void End() override {}
  std::latch sent{1};
  HttpAnswer answer;
};

TEST(AnswerLater, AnswersFromAThreadThatMayWaitAlsoWhenTheWorkThrows) {
  Executor slow(1);
  const HttpHandler handler = AnswerLater(slow, [](const HttpCall& call) -> Result<HttpAnswer> {
    if (call.body == "throw") throw std::runtime_error("oh");
    if (call.body.empty()) return Status(Code::kDataLoss, "nothing");
    return JsonAnswer(call.body);
  });
  for (const auto& [body, code] : {std::pair{"{}", 200}, {"", 500}, {"throw", 500}}) {
    const auto reply = std::make_shared<Kept>();
    HttpCall call;
    call.body = body;
    handler(std::move(call), reply);
    reply->sent.wait();
    EXPECT_EQ(reply->answer.code, code);
  }
}

}  // namespace
}  // namespace lipcast::server
