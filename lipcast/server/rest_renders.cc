#include "lipcast/server/rest_renders.h"

#include <fmt/format.h>

#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "lipcast/server/http_file.h"
#include "lipcast/server/json_text.h"

namespace lipcast::server {
namespace {

using Json = nlohmann::ordered_json;

const char* EndingOf(media::MovieContainer container) {
  return container == media::MovieContainer::kMp4 ? "mp4" : "mkv";
}

Json JsonOf(const RenderInfo& info) {
  const std::string self = "/v1/renders/" + info.id;
  Json json = {{"id", info.id},
               {"avatar", info.avatar},
               {"format", EndingOf(info.container)},
               {"state", RenderStateName(info.state)},
               {"created", WallTime(info.created_unix_s)},
               {"frames", info.frames}};
  if (info.total_frames) json["totalFrames"] = *info.total_frames;
  if (!info.provider.empty()) json["provider"] = info.provider;
  if (IsOver(info.state)) json["ended"] = WallTime(info.ended_unix_s);
  if (!info.status.ok()) {
    json["error"] = {{"code", CodeName(info.status.code())}, {"message", info.status.message()}};
  }
  if (info.state == RenderState::kDone) {
    json["bytes"] = info.bytes;
    json["wallSeconds"] = std::chrono::duration<double>(info.wall).count();
    json["warnings"] = info.warnings;
    json["file"] = self + "/file";
  }
  return json;
}

std::string TextOf(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Status Refuse(const std::string& name, const std::string& found, const std::string& wanted) {
  return Status(Code::kInvalidArgument, name + " = '" + found + "': want " + wanted);
}

/// What the query of POST /v1/renders asks for.
struct Wish {
  RenderSpec spec;
  std::optional<audio::AudioFormat> raw;
};

Result<Wish> WishOf(const HttpTarget& target) {
  const auto text = [&](const char* name) -> const std::string* {
    const auto found = target.query.find(name);
    return found == target.query.end() ? nullptr : &found->second;
  };
  Wish wish;
  pipeline::SessionOptions& session = wish.spec.session;
  const std::string* avatar = text("avatar");
  if (avatar == nullptr) return Status(Code::kInvalidArgument, "avatar: want its name");
  wish.spec.avatar = *avatar;
  if (const std::string* format = text("format")) {
    if (*format != "mp4" && *format != "mkv") return Refuse("format", *format, "mp4 or mkv");
    if (*format == "mkv") wish.spec.container = media::MovieContainer::kMkv;
  }
  LC_ASSIGN_OR_RETURN(const int64_t crf, QueryInteger(target, "crf", 0, 51, wish.spec.crf));
  wish.spec.crf = static_cast<int>(crf);
  if (const std::string* fps = text("fps")) {
    LC_ASSIGN_OR_RETURN(session.fps, ParseFrameRate(*fps));
  }
  for (const auto& [name, side] :
       {std::pair("width", &session.width), {"height", &session.height}}) {
    LC_ASSIGN_OR_RETURN(const int64_t px, QueryInteger(target, name, 1, kMaxSidePx, 0));
    if (px != 0) *side = static_cast<int>(px);
  }
  LC_ASSIGN_OR_RETURN(session.start_frame,
                      QueryInteger(target, "start_frame", 0, (int64_t{1} << 31) - 1, 0));
  if (const std::string* idle = text("idle")) {
    if (*idle != "passthrough" && *idle != "model") {
      return Refuse("idle", *idle, "passthrough or model");
    }
    if (*idle == "model") session.idle = pipeline::Idle::kModel;
  }
  LC_ASSIGN_OR_RETURN(wish.raw, RawFormatOf(target));
  return wish;
}

/// Server-sent events of one job: one when it changes, the last when it is over.
class RenderEvents final : public RenderListener,
                           public std::enable_shared_from_this<RenderEvents> {
 public:
  explicit RenderEvents(std::shared_ptr<HttpReply> reply) : reply_(std::move(reply)) {}

  void Begin() {
    HttpReply::Stream stream;
    stream.on_written = [self = shared_from_this()] { self->OnWritten(); };
    stream.on_gone = [self = shared_from_this()] {};
    reply_->Begin({200, "text/event-stream", {}, {}}, std::move(stream));
  }
  void OnRender(const RenderInfo& info, const std::shared_ptr<const FinishedFile>&) override {
    const std::lock_guard lock(mu_);
    latest_ = info;
    WriteLocked();
  }

 private:
  void OnWritten() {
    const std::lock_guard lock(mu_);
    writing_ = false;
    if (over_) {
      reply_->End();
    } else {
      WriteLocked();
    }
  }
  void WriteLocked() {
    if (writing_ || over_ || !latest_) return;
    writing_ = true;
    over_ = IsOver(latest_->state);
    reply_->Write(fmt::format("event: {}\ndata: {}\n\n", RenderStateName(latest_->state),
                              TextOf(JsonOf(*latest_))));
    latest_.reset();
  }

  const std::shared_ptr<HttpReply> reply_;
  std::mutex mu_;
  std::optional<RenderInfo> latest_;  // guarded by mu_: not yet written
  bool writing_ = true;               // guarded by mu_: the head
  bool over_ = false;                 // guarded by mu_
};

Status Download(RenderJobs& jobs, Executor& slow, const HttpCall& call,
                const std::shared_ptr<HttpReply>& reply) {
  const std::string& id = call.path.at("id");
  LC_ASSIGN_OR_RETURN(const auto file, jobs.File(id));
  LC_ASSIGN_OR_RETURN(const RenderInfo info, jobs.Get(id));
  const std::string ending = EndingOf(info.container);
  SendFile({file, static_cast<uint64_t>(info.bytes),
            info.container == media::MovieContainer::kMp4 ? "video/mp4" : "video/x-matroska", id,
            DownloadName(info.avatar, id, ending)},
           slow, call, reply);
  return {};
}

}  // namespace

Result<std::optional<audio::AudioFormat>> RawFormatOf(const HttpTarget& target) {
  const auto& query = target.query;
  const auto type = query.find("sample_type");
  if (!query.contains("rate")) {
    for (const char* name : {"channels", "sample_type"}) {
      const auto found = query.find(name);
      if (found != query.end()) {
        return Refuse(name, found->second, "rate beside it: it is of raw PCM");
      }
    }
    return std::optional<audio::AudioFormat>();
  }
  audio::AudioFormat raw;
  LC_ASSIGN_OR_RETURN(const int64_t rate, QueryInteger(target, "rate", 8000, 192'000, 0));
  LC_ASSIGN_OR_RETURN(const int64_t channels, QueryInteger(target, "channels", 1, 8, 1));
  raw.rate_hz = static_cast<int>(rate);
  raw.channels = static_cast<int>(channels);
  if (type != query.end()) {
    LC_ASSIGN_OR_RETURN(raw.type, audio::ParseSampleType(type->second));
  }
  return std::optional(raw);
}

std::vector<HttpRoute> RenderRoutes(RenderJobs& jobs, Executor& slow) {
  const auto json = [](const RenderInfo& info, int code = 200) {
    return JsonAnswer(TextOf(JsonOf(info)) + "\n", code);
  };
  HttpRoute submit{
      "POST", "/v1/renders",
      AnswerLater(slow, [&jobs, json](const HttpCall& call) -> Result<HttpAnswer> {
        LC_ASSIGN_OR_RETURN(const Wish wish, WishOf(call.target));
        LC_ASSIGN_OR_RETURN(const RenderInfo info, jobs.Submit(wish.spec, {call.file, wish.raw}));
        HttpAnswer answer = json(info, 202);
        answer.headers.emplace_back("Location", "/v1/renders/" + info.id);
        return answer;
      })};
  submit.body = HttpBody::kFile;
  submit.opens_session = true;
  submit.query = {"avatar", "format",      "crf",  "fps",      "width",      "height",
                  "idle",   "start_frame", "rate", "channels", "sample_type"};
  HttpRoute list{"GET", "/v1/renders",
                 AnswerLater(slow, [&jobs](const HttpCall&) -> Result<HttpAnswer> {
                   Json all = Json::array();
                   for (const RenderInfo& info : jobs.List()) all.push_back(JsonOf(info));
                   return JsonAnswer(TextOf({{"renders", std::move(all)}}) + "\n");
                 })};
  HttpRoute get{"GET", "/v1/renders/{id}", AnswerAtOnce([&jobs, json](const HttpCall& call) {
                  const auto info = jobs.Get(call.path.at("id"));
                  return info.ok() ? json(*info) : FailureAnswer(info.status());
                })};
  HttpRoute remove{"DELETE", "/v1/renders/{id}",
                   AnswerLater(slow, [&jobs](const HttpCall& call) -> Result<HttpAnswer> {
                     LC_RETURN_IF_ERROR(jobs.Remove(call.path.at("id")));
                     return HttpAnswer{204, {}, {}, {}};
                   })};
  HttpRoute events{"GET", "/v1/renders/{id}/events",
                   [&jobs](const HttpCall& call, std::shared_ptr<HttpReply> reply) {
                     const std::string& id = call.path.at("id");
                     if (const auto info = jobs.Get(id); !info.ok()) {
                       reply->Send(FailureAnswer(info.status()));
                       return;
                     }
                     const auto told = std::make_shared<RenderEvents>(std::move(reply));
                     told->Begin();
                     // Gone in between: the stream is broken off, as nobody holds it.
                     [[maybe_unused]] const Status watched = jobs.Watch(id, told);
                   }};
  HttpRoute file{"GET", "/v1/renders/{id}/file",
                 [&jobs, &slow](HttpCall call, std::shared_ptr<HttpReply> reply) {
                   slow.Post(TimePoint{}, [&jobs, &slow, call = std::move(call), reply](int) {
                     const Status status = Download(jobs, slow, call, reply);
                     if (!status.ok()) reply->Send(FailureAnswer(status));
                   });
                 }};
  return {submit, list, get, remove, events, file};
}

}  // namespace lipcast::server
