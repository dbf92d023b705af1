#include "lipcast/server/rest_api.h"

#include <google/protobuf/util/json_util.h>

#include "lipcast/server/avatar_picture.h"
#include "lipcast/server/grpc_messages.h"

namespace lipcast::server {
namespace {

HttpAnswer JsonOf(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok()) {
    return FailureAnswer(Status(Code::kInternal, "the answer cannot be written as JSON"));
  }
  return JsonAnswer(json + "\n");
}

}  // namespace

std::vector<HttpRoute> AvatarRoutes(SpeechHost& host, const ServerFacts& facts) {
  AvatarRegistry& avatars = *host.parts().avatars;
  const auto later = [&host](auto answer) {
    return AnswerLater(host.slow(), [answer](const HttpCall& call) -> Result<HttpAnswer> {
      const auto found = call.path.find("name");
      return answer(found == call.path.end() ? std::string() : found->second);
    });
  };
  const auto loading = [&host](bool replace, auto answer) -> HttpHandler {
    return [&host, replace, answer](HttpCall call, std::shared_ptr<HttpReply> reply) {
      const std::string& name = call.path.at("name");
      const HttpHandler handler =
          AnswerLater(replace ? host.loading() : host.opening(name),
                      [answer](const HttpCall& one) { return answer(one.path.at("name")); });
      handler(std::move(call), std::move(reply));
    };
  };
  HttpRoute document{"GET", "/openapi.json", AnswerAtOnce([](const HttpCall&) {
                       return JsonAnswer(std::string(OpenApiDocument()));
                     })};
  document.open = true;
  return {
      document,
      {"GET", "/v1/info",
       AnswerAtOnce([&host, facts](const HttpCall&) { return JsonOf(InfoOf(host, facts)); })},
      {"GET", "/v1/avatars",
       later([&host](const std::string&) -> Result<HttpAnswer> { return JsonOf(ListOf(host)); })},
      {"GET", "/v1/avatars/{name}",
       later([&avatars](const std::string& name) -> Result<HttpAnswer> {
         LC_ASSIGN_OR_RETURN(const AvatarEntry entry, avatars.Get(name));
         return JsonOf(ToWire(entry));
       })},
      {"GET", "/v1/avatars/{name}/picture.jpg",
       later([&avatars](const std::string& name) -> Result<HttpAnswer> {
         LC_ASSIGN_OR_RETURN(const AvatarEntry entry, avatars.Get(name));
         LC_ASSIGN_OR_RETURN(std::string jpeg, AvatarPicture(entry));
         return HttpAnswer{
             200, "image/jpeg", std::move(jpeg), {{"Cache-Control", "private, max-age=60"}}};
       })},
      {"POST", "/v1/avatars/{name}/load",
       loading(false,
               [&host](const std::string& name) -> Result<HttpAnswer> {
                 LC_ASSIGN_OR_RETURN(const v1::LoadAvatarResponse response, LoadAvatar(host, name));
                 return JsonOf(response);
               })},
      {"POST", "/v1/avatars/{name}/unload",
       later([&avatars](const std::string& name) -> Result<HttpAnswer> {
         LC_RETURN_IF_ERROR(avatars.Unload(name));
         return JsonOf(v1::UnloadAvatarResponse());
       })},
      {"POST", "/v1/avatars/{name}/replace",
       loading(true,
               [&host](const std::string& name) -> Result<HttpAnswer> {
                 LC_ASSIGN_OR_RETURN(const v1::ReplaceAvatarResponse response,
                                     ReplaceAvatar(host, name));
                 return JsonOf(response);
               })},
  };
}

}  // namespace lipcast::server
