#include "lipcast/server/http_router.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/refusal.h"
#include "lipcast/server/retry_hint.h"

namespace lipcast::server {
namespace {

bool IsName(std::string_view step) { return step.starts_with('{') && step.ends_with('}'); }

/// "audio/wav" of "Audio/WAV; codecs=1".
std::string MediaType(std::string_view header) {
  std::string type(header.substr(0, header.find(';')));
  type.erase(type.find_last_not_of(" \t") + 1);
  std::ranges::transform(type, type.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return type;
}

bool IsOneOf(const std::string& type, const std::vector<std::string>& wanted) {
  return std::ranges::any_of(wanted, [&](const std::string& one) {
    return one.ends_with("/*") ? type.starts_with(one.substr(0, one.size() - 1)) : type == one;
  });
}

std::string Joined(const std::vector<std::string>& words) {
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace

HttpHandler AnswerAtOnce(std::function<HttpAnswer(const HttpCall&)> answer) {
  return [answer = std::move(answer)](const HttpCall& call, const auto& reply) {
    reply->Send(answer(call));
  };
}

HttpHandler AnswerLater(Executor& slow, std::function<Result<HttpAnswer>(const HttpCall&)> answer) {
  return [&slow, answer = std::move(answer)](HttpCall call, std::shared_ptr<HttpReply> reply) {
    slow.Post(TimePoint{}, [answer, call = std::move(call), reply = std::move(reply)](int) {
      auto result = Contain([&] { return answer(call); });
      reply->Send(result.ok() ? *std::move(result) : FailureAnswer(result.status()));
    });
  };
}

int HttpCodeOf(Code code) {
  switch (code) {
    case Code::kOk:
      return 200;
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kPermissionDenied:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
    case Code::kFailedPrecondition:
    case Code::kAborted:
      return 409;
    case Code::kCancelled:
      return 499;
    case Code::kUnimplemented:
      return 501;
    case Code::kResourceExhausted:  // of the server; a client that asks too often gets its own 429
    case Code::kUnavailable:
      return 503;
    case Code::kDeadlineExceeded:
      return 504;
    case Code::kUnknown:
    case Code::kInternal:
    case Code::kDataLoss:
      return 500;
  }
  return 500;
}

HttpAnswer FailureAnswer(const Status& status, int http_code) {
  const nlohmann::json body = {{"code", CodeName(status.code())},
                               {"message", status.message()},
                               {"reason", refusal::ReasonOf(status)}};
  HttpAnswer answer =
      JsonAnswer(body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                 http_code != 0 ? http_code : HttpCodeOf(status.code()));
  if (answer.code == 401) answer.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (const auto wait = RetryAfter(status)) {
    answer.headers.emplace_back("Retry-After", std::to_string(wait->count()));
  }
  return answer;
}

HttpAnswer JsonAnswer(std::string json, int code) {
  return {code, "application/json", std::move(json), {}};
}

Status HttpRouter::Add(HttpRoute route) {
  auto target = ParseTarget(route.pattern);
  const bool good = target.ok() && target->query.empty() && route.handler != nullptr;
  if (!good) return Status(Code::kInvalidArgument, "route '" + route.pattern + "': is none");
  for (const Entry& entry : entries_) {
    if (entry.route.method == route.method && entry.route.pattern == route.pattern) {
      return Status(Code::kAlreadyExists, route.method + " " + route.pattern + ": stands twice");
    }
  }
  entries_.push_back({std::move(target->segments), target->folder, std::move(route)});
  return {};
}

Status HttpRouter::Add(std::vector<HttpRoute> routes) {
  for (HttpRoute& route : routes) LC_RETURN_IF_ERROR(Add(std::move(route)));
  return {};
}

HttpRouter::Match HttpRouter::Find(const std::string& method, const HttpTarget& target) const {
  const std::string wanted = method == "HEAD" ? "GET" : method;
  Match match;
  std::vector<std::string> methods;
  int best = -1;  // steps written out
  for (const Entry& entry : entries_) {
    if (entry.steps.size() != target.segments.size() || entry.folder != target.folder) continue;
    std::map<std::string, std::string> names;
    int written_out = 0;
    bool fits = true;
    for (size_t i = 0; i < entry.steps.size() && fits; ++i) {
      const std::string& step = entry.steps[i];
      if (IsName(step)) {
        names[step.substr(1, step.size() - 2)] = target.segments[i];
      } else {
        fits = step == target.segments[i];
        ++written_out;
      }
    }
    if (!fits) continue;
    match.any_origin |= entry.route.any_origin;
    if (std::ranges::find(methods, entry.route.method) == methods.end()) {
      methods.push_back(entry.route.method);
      if (entry.route.method == "GET") methods.emplace_back("HEAD");
    }
    if (entry.route.method != wanted || written_out <= best) continue;
    best = written_out;
    match.route = &entry.route;
    match.path = std::move(names);
  }
  if (!methods.empty()) match.allow = Joined(methods) + ", OPTIONS";
  return match;
}

std::optional<HttpAnswer> RefuseCall(const HttpRoute& route, const HttpTarget& target,
                                     std::string_view content_type, bool has_body) {
  for (const auto& [name, value] : target.query) {
    if (std::ranges::find(route.query, name) != route.query.end()) continue;
    if (route.session_token && name == kTokenParameter) continue;
    return FailureAnswer(Status(Code::kInvalidArgument, "query: '" + avatar::ShownText(name, 80) +
                                                            "': no such parameter, want " +
                                                            Joined(route.query)));
  }
  if (!has_body || route.body == HttpBody::kNone) return std::nullopt;
  const std::vector<std::string> types =
      route.body == HttpBody::kJson ? std::vector<std::string>{"application/json"} : route.types;
  if (!types.empty() && !IsOneOf(MediaType(content_type), types)) {
    return FailureAnswer(
        Status(Code::kInvalidArgument, "Content-Type: '" + avatar::ShownText(content_type, 80) +
                                           "': want " + Joined(types)),
        415);
  }
  return std::nullopt;
}

}  // namespace lipcast::server
