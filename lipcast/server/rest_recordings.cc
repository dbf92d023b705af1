#include "lipcast/server/rest_recordings.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "lipcast/server/http_file.h"
#include "lipcast/server/json_text.h"
#include "lipcast/server/rest_sessions.h"

namespace lipcast::server {
namespace {

using Json = nlohmann::ordered_json;

HttpAnswer Answer(const RecordingInfo& info, int code = 200) {
  const std::string self = "/v1/recordings/" + info.id;
  Json json = {{"id", info.id},
               {"session", info.session},
               {"avatar", info.avatar},
               {"state", RecordingStateName(info.state)},
               {"created", WallTime(info.created_unix_s)},
               {"frames", info.frames},
               {"seconds", static_cast<double>(info.frames) / info.fps.value()},
               {"bytes", info.bytes}};
  if (info.ended_by != RecordingEnd::kNone) {
    json["endedBy"] = RecordingEndName(info.ended_by);
    json["message"] = info.message;
  }
  if (IsOver(info.state)) json["ended"] = WallTime(info.ended_unix_s);
  if (info.state == RecordingState::kFailed) {
    json["error"] = {{"code", CodeName(info.status.code())}, {"message", info.status.message()}};
  }
  if (info.state == RecordingState::kDone) {
    json["warnings"] = info.warnings;
    json["file"] = self + "/file";
  }
  HttpAnswer answer =
      JsonAnswer(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", code);
  if (code == 201) answer.headers.emplace_back("Location", self);
  return answer;
}

Status Download(Recordings& recordings, Executor& slow, const HttpCall& call,
                const std::shared_ptr<HttpReply>& reply) {
  const std::string& id = call.path.at("id");
  LC_ASSIGN_OR_RETURN(const auto file, recordings.File(id));
  LC_ASSIGN_OR_RETURN(const RecordingInfo info, recordings.Get(id));
  SendFile({file, static_cast<uint64_t>(info.bytes), "video/mp4", id,
            DownloadName(info.avatar, id, "mp4")},
           slow, call, reply);
  return {};
}

}  // namespace

std::vector<HttpRoute> RecordingRoutes(SpeechHost& host, Recordings& recordings) {
  HttpRoute begin{
      "POST", "/v1/sessions/{id}/recordings",
      AnswerLater(host.slow(),
                  [&host, &recordings](const HttpCall& call) -> Result<HttpAnswer> {
                    LC_ASSIGN_OR_RETURN(const auto stream, FindSession(host, call.path.at("id")));
                    LC_ASSIGN_OR_RETURN(const RecordingInfo info, recordings.Begin(*stream));
                    return Answer(info, 201);
                  }),
      HttpBody::kJson};
  begin.opens_session = true;
  HttpRoute get{"GET", "/v1/recordings/{id}", AnswerAtOnce([&recordings](const HttpCall& call) {
                  const auto info = recordings.Get(call.path.at("id"));
                  return info.ok() ? Answer(*info) : FailureAnswer(info.status());
                })};
  HttpRoute stop{"POST", "/v1/recordings/{id}/stop",
                 AnswerAtOnce([&recordings](const HttpCall& call) {
                   const auto info = recordings.Stop(call.path.at("id"));
                   return info.ok() ? Answer(*info) : FailureAnswer(info.status());
                 }),
                 HttpBody::kJson};
  HttpRoute remove{
      "DELETE", "/v1/recordings/{id}",
      AnswerLater(host.slow(), [&recordings](const HttpCall& call) -> Result<HttpAnswer> {
        LC_RETURN_IF_ERROR(recordings.Remove(call.path.at("id")));
        return HttpAnswer{204, {}, {}, {}};
      })};
  HttpRoute file{"GET", "/v1/recordings/{id}/file",
                 [&host, &recordings](HttpCall call, std::shared_ptr<HttpReply> reply) {
                   Executor& slow = host.slow();
                   slow.Post(TimePoint{}, [&recordings, &slow, call = std::move(call), reply](int) {
                     const Status status = Download(recordings, slow, call, reply);
                     if (!status.ok()) reply->Send(FailureAnswer(status));
                   });
                 }};
  file.session_token = true;
  return {begin, get, stop, remove, file};
}

}  // namespace lipcast::server
