#include "lipcast/server/rest_sessions.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/json_text.h"

namespace lipcast::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownBytes = 80;

const char* OutputOf(const StreamOptions& options) {
  switch (options.picture.codec) {
    case PictureCodec::kJpeg:
      return "jpeg";
    case PictureCodec::kPng:
      return "png";
    case PictureCodec::kRgba:
      return "rgba";
    case PictureCodec::kBgr:
      return "bgr";
    case PictureCodec::kI420:
      return "i420";
    case PictureCodec::kH264AnnexB:
      return "h264_annexb";
    case PictureCodec::kH264Avcc:
      return options.movie ? "fmp4" : "h264_avcc";
  }
  return "-";
}

Json JsonOf(const SpeechStream& stream) {
  const StreamRecord& record = stream.record();
  const StreamOptions& options = stream.options();
  return {{"id", stream.id()},
          {"avatar", stream.avatar()},
          {"state", stream.over()       ? "ending"
                    : record.speaking() ? "speaking"
                                        : "idle"},
          {"protocol", std::string(options.interface)},
          {"pace", options.live ? "live" : "file"},
          {"since", WallTime(record.opened_unix_s())},
          {"frames", record.frames()},
          {"recorded", stream.tapped()},
          {"peer", options.peer},
          {"output", OutputOf(options)},
          {"width", stream.width()},
          {"height", stream.height()},
          {"fps", stream.fps().value()}};
}

HttpAnswer Answer(const Json& json, int code = 200) {
  return JsonAnswer(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", code);
}

}  // namespace

Result<std::shared_ptr<SpeechStream>> FindSession(const SpeechHost& host, const std::string& id) {
  for (auto& stream : host.Streams()) {
    if (stream->id() == id) return std::move(stream);
  }
  return Status(Code::kNotFound,
                "session '" + avatar::ShownText(id, kShownBytes) + "': no such session is open");
}

std::vector<HttpRoute> SessionRoutes(SpeechHost& host) {
  return {
      {"GET", "/v1/sessions", AnswerAtOnce([&host](const HttpCall&) {
         Json all = Json::array();
         for (const auto& stream : host.Streams()) all.push_back(JsonOf(*stream));
         return Answer({{"sessions", std::move(all)}});
       })},
      {"GET", "/v1/sessions/{id}", AnswerAtOnce([&host](const HttpCall& call) {
         const auto stream = FindSession(host, call.path.at("id"));
         return stream.ok() ? Answer(JsonOf(**stream)) : FailureAnswer(stream.status());
       })},
      {"DELETE", "/v1/sessions/{id}", AnswerAtOnce([&host](const HttpCall& call) {
         const auto stream = FindSession(host, call.path.at("id"));
         if (!stream.ok()) return FailureAnswer(stream.status());
         (*stream)->Cancel(Status(Code::kCancelled, "the session was ended by a DELETE over HTTP"));
         return HttpAnswer{204, {}, {}, {}};
       })},
  };
}

}  // namespace lipcast::server
