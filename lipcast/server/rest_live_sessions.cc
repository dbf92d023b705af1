#include "lipcast/server/rest_live_sessions.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/http_live_session.h"
#include "lipcast/server/render_jobs.h"
#include "lipcast/server/rest_renders.h"

namespace lipcast::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDefaultRateHz = 48'000;
constexpr size_t kShownBytes = 80;
constexpr const char* kFields[] = {"avatar", "output", "fps",         "width",
                                   "height", "rate",   "jpegQuality", "bitrateKbps"};

struct Wish {
  std::string avatar;
  LiveOutputKind kind = LiveOutputKind::kFmp4;
  StreamOptions options;
};

std::string Shown(const Json& value) {
  return avatar::ShownText(value.dump(-1, ' ', false, Json::error_handler_t::replace), kShownBytes);
}

/// A whole number, or the fallback where it is not there.
Result<int> IntegerOf(const Json& json, const char* name, int low, int high, int fallback) {
  const auto found = json.find(name);
  if (found == json.end()) return fallback;
  if (found->is_number_integer()) {
    const auto value = found->get<int64_t>();
    if (value >= low && value <= high) return static_cast<int>(value);
  }
  return Status(Code::kInvalidArgument, fmt::format("{} = {}: want a whole number, {}..{}", name,
                                                    Shown(*found), low, high));
}

Result<std::string> TextOf(const Json& json, const char* name, const std::string& fallback) {
  const auto found = json.find(name);
  if (found == json.end()) return fallback;
  if (found->is_string()) return found->get<std::string>();
  return Status(Code::kInvalidArgument, fmt::format("{} = {}: want a text", name, Shown(*found)));
}

Result<Wish> WishOf(const std::string& body, int jpeg_quality) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) {
    return Status(Code::kInvalidArgument, "the body: want a JSON object with avatar");
  }
  for (const auto& item : json.items()) {
    if (std::ranges::find(kFields, item.key()) == std::end(kFields)) {
      return Status(Code::kInvalidArgument, "'" + avatar::ShownText(item.key(), kShownBytes) +
                                                "': no such field, want " +
                                                fmt::format("{}", fmt::join(kFields, ", ")));
    }
  }
  Wish wish;
  pipeline::SessionOptions& session = wish.options.session;
  LC_ASSIGN_OR_RETURN(wish.avatar, TextOf(json, "avatar", ""));
  if (wish.avatar.empty()) return Status(Code::kInvalidArgument, "avatar: want its name");
  LC_ASSIGN_OR_RETURN(const std::string output, TextOf(json, "output", LiveOutputName(wish.kind)));
  LC_ASSIGN_OR_RETURN(wish.kind, ParseLiveOutput(output));
  SetOutput(wish.kind, &wish.options);
  if (const auto fps = json.find("fps"); fps != json.end()) {
    LC_ASSIGN_OR_RETURN(session.fps,
                        ParseFrameRate(fps->is_string() ? fps->get<std::string>() : fps->dump()));
  }
  for (const auto& [name, side] :
       {std::pair("width", &session.width), {"height", &session.height}}) {
    LC_ASSIGN_OR_RETURN(const int px, IntegerOf(json, name, 1, kMaxSidePx, 0));
    if (px != 0) *side = px;
  }
  LC_ASSIGN_OR_RETURN(const int rate, IntegerOf(json, "rate", audio::kMinRateHz, audio::kMaxRateHz,
                                                kDefaultRateHz));
  session.format = {rate, 1, audio::SampleType::kF32};
  LC_ASSIGN_OR_RETURN(wish.options.picture.jpeg_quality,
                      IntegerOf(json, "jpegQuality", 1, 100, jpeg_quality));
  LC_ASSIGN_OR_RETURN(wish.options.picture.bitrate_kbps,
                      IntegerOf(json, "bitrateKbps", 50, 100'000, 0));
  wish.options.interface = "http";
  return wish;
}

HttpAnswer OpenedAnswer(const SpeechStream& stream, LiveOutputKind kind) {
  const std::string self = "/v1/sessions/" + stream.id();
  const bool mjpeg = kind == LiveOutputKind::kMjpeg;
  const Json json = {{"id", stream.id()},
                     {"avatar", stream.avatar()},
                     {"output", LiveOutputName(kind)},
                     {"stream", self + (mjpeg ? "/stream.mjpeg" : "/stream.mp4")},
                     {"audio", self + "/audio"},
                     {"width", stream.width()},
                     {"height", stream.height()},
                     {"fps", stream.fps().value()},
                     {"rate", stream.options().session.format.rate_hz}};
  HttpAnswer answer = JsonAnswer(json.dump() + "\n", 201);
  answer.headers.emplace_back("Location", self);
  return answer;
}

}  // namespace

std::vector<HttpRoute> LiveSessionRoutes(SpeechHost& host, int jpeg_quality) {
  const auto sessions = std::make_shared<HttpLiveSessions>();
  const auto with = [sessions](auto use) {
    return [sessions, use](HttpCall call, std::shared_ptr<HttpReply> reply) {
      const auto session = sessions->Find(call.path.at("id"));
      if (session.ok()) {
        use(**session, call, std::move(reply));
      } else {
        reply->Send(FailureAnswer(session.status()));
      }
    };
  };
  const auto verb = [with](const char* path,
                           void (HttpLiveSession::*say)(std::shared_ptr<HttpReply>)) {
    return HttpRoute{
        "POST", path,
        with([say](HttpLiveSession& session, const HttpCall&, std::shared_ptr<HttpReply> reply) {
          (session.*say)(std::move(reply));
        }),
        HttpBody::kJson};
  };
  const auto output = [with](const char* path, LiveOutputKind kind) {
    HttpRoute route{
        "GET", path,
        with([kind](HttpLiveSession& session, const HttpCall&, std::shared_ptr<HttpReply> reply) {
          if (session.kind() == kind) {
            session.Read(std::move(reply));
          } else {
            reply->Send(FailureAnswer(
                Status(Code::kFailedPrecondition,
                       "the session was opened for " + LiveOutputName(session.kind()))));
          }
        })};
    route.session_token = true;
    return route;
  };
  HttpRoute open{
      "POST", "/v1/sessions",
      AnswerLater(host.slow(),
                  [&host, sessions, jpeg_quality](const HttpCall& call) -> Result<HttpAnswer> {
                    LC_ASSIGN_OR_RETURN(Wish wish, WishOf(call.body, jpeg_quality));
                    wish.options.peer = call.peer;
                    LC_ASSIGN_OR_RETURN(auto stream, host.Open(wish.avatar, wish.options));
                    HttpAnswer answer = OpenedAnswer(*stream, wish.kind);
                    sessions->Open(host, std::move(stream), wish.kind);
                    return answer;
                  }),
      HttpBody::kJson};
  open.opens_session = true;
  HttpRoute hear{
      "POST", "/v1/sessions/{id}/audio",
      [&host, with](HttpCall call, std::shared_ptr<HttpReply> reply) {
        host.slow().Post(TimePoint{}, [with, call = std::move(call), reply](int) mutable {
          with([](HttpLiveSession& session, const HttpCall& heard,
                  std::shared_ptr<HttpReply> answer) {
            auto sound = Contain([&]() -> Result<std::unique_ptr<audio::AudioReader>> {
              LC_ASSIGN_OR_RETURN(const auto raw, RawFormatOf(heard.target));
              return OpenRenderSound({heard.file, raw});
            });
            if (sound.ok()) {
              session.Hear(*std::move(sound), std::move(answer));
            } else {
              answer->Send(FailureAnswer(sound.status()));
            }
          })(std::move(call), reply);
        });
      },
      HttpBody::kFile};
  hear.query = {"rate", "channels", "sample_type"};
  return {std::move(open),
          std::move(hear),
          verb("/v1/sessions/{id}/end", &HttpLiveSession::EndUtterance),
          verb("/v1/sessions/{id}/clear", &HttpLiveSession::Clear),
          verb("/v1/sessions/{id}/close", &HttpLiveSession::Close),
          output("/v1/sessions/{id}/stream.mjpeg", LiveOutputKind::kMjpeg),
          output("/v1/sessions/{id}/stream.mp4", LiveOutputKind::kFmp4)};
}

}  // namespace lipcast::server
