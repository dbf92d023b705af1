#include "lipcast/server/web_page.h"

#include <algorithm>
#include <utility>

namespace lipcast::server {
namespace {

/// Nothing from elsewhere, no inline script or style; blob: is for avatar pictures, which are asked
/// for with the token, and for films.
constexpr const char* kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'";

std::string TypeOf(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "application/octet-stream";
}

HttpAnswer AnswerWith(const WebFile& file, const HttpCall& call) {
  const std::string tag = "\"" + std::string(file.sha256.substr(0, 16)) + "\"";
  HttpAnswer answer{200, TypeOf(file.name), "", {}};
  answer.headers = {{"ETag", tag},
                    {"Cache-Control", "no-cache"},
                    {"Content-Security-Policy", kContentSecurityPolicy}};
  const auto known = call.headers.find("if-none-match");
  if (known != call.headers.end() && known->second.find(tag) != std::string::npos) {
    answer.code = 304;
  } else {
    answer.body = file.bytes;
  }
  return answer;
}

}  // namespace

std::vector<HttpRoute> WebPageRoutes() {
  const auto named = [](std::string_view name, const HttpCall& call) {
    const auto& files = WebFiles();
    const auto file = std::ranges::find(files, name, &WebFile::name);
    return file == files.end() ? FailureAnswer(Status(Code::kNotFound, "no such path"))
                               : AnswerWith(*file, call);
  };
  HttpRoute page{"GET", "/",
                 AnswerAtOnce([named](const HttpCall& call) { return named("index.html", call); })};
  page.query = {"avatar", "pictures", "say", "audio"};  // deep_link.js reads them
  HttpRoute status{"GET", "/status", AnswerAtOnce([named](const HttpCall& call) {
                     return named("status.html", call);
                   })};
  HttpRoute files{"GET", "/app/{file}", AnswerAtOnce([named](const HttpCall& call) {
                    return named(call.path.at("file"), call);
                  })};
  page.open = status.open = files.open = true;
  files.any_origin = true;  // public code: the element says itself what its page may not do
  return {std::move(page), std::move(status), std::move(files)};
}

}  // namespace lipcast::server
