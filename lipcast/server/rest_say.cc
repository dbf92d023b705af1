#include "lipcast/server/rest_say.h"

#include "lipcast/server/refusal.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace lipcast::server {
namespace {

constexpr size_t kMaxWaiting = 3;

Result<std::string> TextOf(const std::string& body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object() || json.size() != 1 || !json.contains("text") ||
      !json["text"].is_string()) {
    return Status(Code::kInvalidArgument, R"(the body: want {"text": "..."})");
  }
  return json["text"].get<std::string>();
}

}  // namespace

std::vector<HttpRoute> SayRoutes(std::optional<SayProgram> program, Executor& thread,
                                 std::stop_token stop) {
  const nlohmann::json facts = {{"available", program.has_value()}, {"textBytes", kMaxSayBytes}};
  HttpRoute asks{"GET", "/v1/say", AnswerAtOnce([text = facts.dump() + "\n"](const HttpCall&) {
                   return JsonAnswer(text);
                 })};
  const HttpHandler says =
      AnswerLater(thread, [program, stop](const HttpCall& call) -> Result<HttpAnswer> {
        LC_ASSIGN_OR_RETURN(const std::string text, TextOf(call.body));
        LC_ASSIGN_OR_RETURN(std::string sound, Say(*program, text, stop));
        return HttpAnswer{200, "audio/wav", std::move(sound), {}};
      });
  HttpRoute speaks{"POST", "/v1/say",
                   [available = program.has_value(), says, &thread](HttpCall call, auto reply) {
                     if (!available) {
                       reply->Send(FailureAnswer(Status(
                           Code::kUnimplemented, "say.command: no program that speaks text")));
                     } else if (thread.queued() >= kMaxWaiting) {
                       reply->Send(FailureAnswer(refusal::Exhausted(
                           refusal::kQueue, "say: too many texts wait, try later")));
                     } else {
                       says(std::move(call), std::move(reply));
                     }
                   },
                   HttpBody::kJson};
  return {std::move(asks), std::move(speaks)};
}

}  // namespace lipcast::server
