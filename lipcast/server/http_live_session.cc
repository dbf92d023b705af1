#include "lipcast/server/http_live_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lipcast/audio/mono_converter.h"
#include "lipcast/audio/resampler.h"
#include "lipcast/avatar/package_path.h"

namespace lipcast::server {
namespace {

constexpr size_t kShownBytes = 80;
constexpr size_t kReadBytes = 64 << 10;
/// Samples read at a time, and those of one request: a clear waits for no more than that.
constexpr int kSecondsAhead = 2, kRequestsPerSecond = 10;

Status WasCleared() { return Status(Code::kAborted, "audio: the utterance was cleared"); }
Status IsOver() { return Status(Code::kNotFound, "the session is over"); }

}  // namespace

/// Sound on its way in: read and converted on the slow threads, a little at a time.
class HttpLiveSession::Feed final : public std::enable_shared_from_this<Feed> {
 public:
  Feed(std::shared_ptr<HttpLiveSession> session, std::unique_ptr<audio::AudioReader> sound,
       audio::MonoConverter mono, audio::Resampler resampler, uint64_t utterance,
       std::shared_ptr<HttpReply> reply)
      : session_(std::move(session)),
        sound_(std::move(sound)),
        mono_(std::move(mono)),
        resampler_(std::move(resampler)),
        utterance_(utterance),
        reply_(std::move(reply)) {}

  void Next() {
    std::vector<StreamRequest> requests;
    const Status read = Contain([&]() -> Status {
      LC_RETURN_IF_ERROR(Fill());
      requests = Cut();
      return {};
    });
    if (!read.ok()) {
      Answer(FailureAnswer(read));
      return;
    }
    session_->Say(std::move(requests), [self = shared_from_this()](const Status& status) {
      if (status.ok() && self->IsCleared()) {
        self->Answer(FailureAnswer(WasCleared()));
      } else if (!status.ok()) {
        self->Answer(FailureAnswer(status));
      } else if (self->ended_) {
        self->Answer(JsonAnswer(fmt::format("{{\"utterance\": {}, \"samples\": {}}}\n",
                                            self->utterance_, self->resampler_.samples_out())));
      } else {
        self->session_->host_.slow().Post(TimePoint{}, [self](int) { self->Next(); });
      }
    });
  }

 private:
  bool IsCleared() const {
    const std::lock_guard lock(session_->mu_);
    return session_->utterance_ != utterance_;
  }
  Status Fill() {
    const auto wanted = static_cast<size_t>(kSecondsAhead * session_->format_.rate_hz);
    std::vector<std::byte> bytes(kReadBytes);
    while (!ended_ && samples_.size() < wanted) {
      LC_ASSIGN_OR_RETURN(const size_t count, sound_->Read(bytes));
      std::vector<float> mono;
      mono_.Push(std::span(bytes).first(count), &mono);
      LC_RETURN_IF_ERROR(resampler_.Push(mono, &samples_));
      if (count > 0) continue;
      ended_ = true;
      LC_RETURN_IF_ERROR(resampler_.Finish(&samples_));
    }
    return {};
  }
  std::vector<StreamRequest> Cut() {
    const auto most = static_cast<size_t>(session_->format_.rate_hz / kRequestsPerSecond);
    std::vector<StreamRequest> requests;
    for (size_t at = 0; at < samples_.size(); at += most) {
      const size_t count = std::min(most, samples_.size() - at);
      StreamRequest request;
      request.utterance = utterance_;
      request.audio.assign(reinterpret_cast<const char*>(samples_.data() + at),
                           count * sizeof(float));
      requests.push_back(std::move(request));
    }
    samples_.clear();
    return requests;
  }
  void Answer(HttpAnswer answer) {
    {
      const std::lock_guard lock(session_->mu_);
      session_->feeding_ = false;
    }
    reply_->Send(std::move(answer));
  }

  const std::shared_ptr<HttpLiveSession> session_;
  const std::unique_ptr<audio::AudioReader> sound_;
  audio::MonoConverter mono_;
  audio::Resampler resampler_;
  const uint64_t utterance_;
  const std::shared_ptr<HttpReply> reply_;
  std::vector<float> samples_;
  bool ended_ = false;
};

HttpLiveSession::HttpLiveSession(SpeechHost& host, std::shared_ptr<SpeechStream> stream,
                                 LiveOutputKind kind, std::weak_ptr<HttpLiveSessions> sessions)
    : host_(host),
      kind_(kind),
      id_(stream->id()),
      format_(stream->options().session.format),
      sessions_(std::move(sessions)),
      strand_(Strand::Create(host.parts().engine->executor())),
      stream_(std::move(stream)) {}

void HttpLiveSession::Start() {
  Post([this] {
    if (stream_) stream_->Start(shared_from_this());
  });
}

void HttpLiveSession::Post(std::function<void()> task) {
  strand_->Post(TimePoint::min(),  // little work, that others wait for
                [self = shared_from_this(), task = std::move(task)](int) { task(); });
}

void HttpLiveSession::OnOutput() {
  Post([this] { Pump(); });
}

void HttpLiveSession::OnAccepted() {
  Post([this] {
    busy_ = false;
    if (todo_.empty()) return;
    const Todo done = std::move(todo_.front());
    todo_.pop_front();
    if (done.done) done.done({});
    PushNext();
  });
}

// ---------------------------------------------------------------- requests

void HttpLiveSession::Say(std::vector<StreamRequest> requests, Done done) {
  Post([this, requests = std::move(requests), done = std::move(done)]() mutable {
    if (!stream_) {
      if (done) done(IsOver());
      return;
    }
    if (requests.empty()) {
      if (done) done({});
      return;
    }
    for (StreamRequest& request : requests) {
      const bool last = &request == &requests.back();
      todo_.push_back({std::move(request), last ? std::move(done) : nullptr});
    }
    PushNext();
  });
}

void HttpLiveSession::PushNext() {
  if (busy_ || todo_.empty() || !stream_) return;
  busy_ = true;
  stream_->Push(std::move(todo_.front().request));
}

void HttpLiveSession::Hear(std::unique_ptr<audio::AudioReader> sound,
                           std::shared_ptr<HttpReply> reply) {
  auto mono = audio::MonoConverter::Create(sound->format());
  auto resampler = audio::Resampler::Create(sound->format().rate_hz, format_.rate_hz);
  if (!mono.ok() || !resampler.ok()) {
    reply->Send(FailureAnswer(mono.ok() ? resampler.status() : mono.status()));
    return;
  }
  uint64_t utterance = 0;
  {
    const std::lock_guard lock(mu_);
    if (!feeding_) {
      feeding_ = heard_ = true;
      utterance = utterance_;
    }
  }
  if (utterance == 0) {
    reply->Send(FailureAnswer(Status(Code::kFailedPrecondition,
                                     "audio: the sound before it is not taken whole: wait for its "
                                     "answer")));
    return;
  }
  std::make_shared<Feed>(shared_from_this(), std::move(sound), *std::move(mono),
                         *std::move(resampler), utterance, std::move(reply))
      ->Next();
}

void HttpLiveSession::SayAndAnswer(StreamRequest request, std::shared_ptr<HttpReply> reply) {
  std::vector<StreamRequest> requests;
  const uint64_t utterance = request.utterance;
  requests.push_back(std::move(request));
  Say(std::move(requests), [reply = std::move(reply), utterance](const Status& status) {
    reply->Send(status.ok() ? JsonAnswer(fmt::format("{{\"utterance\": {}}}\n", utterance))
                            : FailureAnswer(status));
  });
}

void HttpLiveSession::EndUtterance(std::shared_ptr<HttpReply> reply) {
  StreamRequest request;
  request.kind = StreamRequest::Kind::kEnd;
  Status refused;
  {
    const std::lock_guard lock(mu_);
    if (feeding_) {
      refused = Status(Code::kFailedPrecondition,
                       "end: the sound is not taken whole yet: wait "
                       "for its answer");
    } else if (!heard_) {
      refused = Status(Code::kFailedPrecondition, "end: no sound since the last end or clear");
    } else {
      request.utterance = utterance_++;
      heard_ = false;
    }
  }
  if (refused.ok()) {
    SayAndAnswer(std::move(request), std::move(reply));
  } else {
    reply->Send(FailureAnswer(refused));
  }
}

void HttpLiveSession::Clear(std::shared_ptr<HttpReply> reply) {
  StreamRequest request;
  request.kind = StreamRequest::Kind::kClear;
  {
    const std::lock_guard lock(mu_);
    request.utterance = heard_ ? utterance_++ : utterance_ - 1;
    heard_ = false;
  }
  Post([this, cleared = request.utterance] {
    std::deque<Todo> kept;
    for (size_t i = 0; i < todo_.size(); ++i) {
      Todo& todo = todo_[i];
      const bool speech = todo.request.kind == StreamRequest::Kind::kAudio ||
                          todo.request.kind == StreamRequest::Kind::kEnd;
      const bool cut = speech && todo.request.utterance <= cleared && !(i == 0 && busy_);
      if (!cut) {
        kept.push_back(std::move(todo));
      } else if (todo.done) {
        todo.done(WasCleared());
      }
    }
    todo_ = std::move(kept);
  });
  SayAndAnswer(std::move(request), std::move(reply));
}

void HttpLiveSession::Close(std::shared_ptr<HttpReply> reply) {
  StreamRequest request;
  request.kind = StreamRequest::Kind::kClose;
  {
    const std::lock_guard lock(mu_);
    request.utterance = utterance_;
  }
  SayAndAnswer(std::move(request), std::move(reply));
}

// ---------------------------------------------------------------- output

void HttpLiveSession::Read(std::shared_ptr<HttpReply> reply) {
  Post([this, reply = std::move(reply)] {
    if (!stream_) {
      reply->Send(FailureAnswer(IsOver()));
    } else if (reply_) {
      reply->Send(FailureAnswer(
          Status(Code::kFailedPrecondition, "the session has a reader: want one at a time")));
    } else {
      BeginReading(reply);
    }
  });
}

void HttpLiveSession::BeginReading(const std::shared_ptr<HttpReply>& reply) {
  auto output = Contain([&] { return LiveOutput::Create(kind_, *stream_); });
  if (!output.ok()) {
    reply->Send(FailureAnswer(output.status()));
    return;
  }
  output_ = *std::move(output);
  head_ = output_->Head();
  reply_ = reply;
  writing_ = true;
  const uint64_t number = ++reader_;
  HttpReply::Stream stream;
  const auto self = shared_from_this();
  stream.on_written = [self, number] {
    self->Post([raw = self.get(), number] {
      if (raw->reader_ != number || !raw->reply_) return;
      raw->writing_ = false;
      if (raw->head_.empty()) {
        raw->Pump();
      } else {
        raw->Write(std::exchange(raw->head_, {}));
      }
    });
  };
  stream.on_gone = [self, number] {
    self->Post([raw = self.get(), number] {
      if (raw->reader_ != number || !raw->reply_) return;
      raw->LetReaderGo(false);
      raw->Pump();
    });
  };
  reply_->Begin({200, output_->content_type(), {}, {}}, std::move(stream));
  if (kind_ != LiveOutputKind::kFmp4) return;
  StreamRequest key_frame;
  key_frame.kind = StreamRequest::Kind::kKeyFrame;
  todo_.push_back({std::move(key_frame), nullptr});
  PushNext();
}

void HttpLiveSession::Pump() {
  while (stream_) {
    // Cut off: nothing waits for the reader any more, who may never take what it has.
    const bool cut = writing_ && stream_->over() && !stream_->status().ok();
    if (writing_ && !cut) return;
    StreamEvent event;
    switch (stream_->Pop(&event)) {
      case SpeechStream::Popped::kNothing:
        return;
      case SpeechStream::Popped::kEnd:
        Over(stream_->status());
        return;
      case SpeechStream::Popped::kEvent:
        if (event.kind == StreamEvent::Kind::kFrame) OnFrame(event);
    }
  }
}

void HttpLiveSession::OnFrame(const StreamEvent& frame) {
  if (!reply_) {
    const double limit =
        std::chrono::duration<double>(kUnreadTime).count() * stream_->fps().value();
    if (static_cast<double>(++unread_) > limit) {
      stream_->Cancel(Status(Code::kDeadlineExceeded,
                             fmt::format("nobody read the output for {} s", kUnreadTime.count())));
    }
    return;
  }
  unread_ = 0;
  Write(Contain([&] { return output_->Add(frame); }));
}

void HttpLiveSession::Write(Result<std::string> piece) {
  if (!piece.ok()) {
    stream_->Cancel(piece.status());
  } else if (!piece->empty()) {
    writing_ = true;
    reply_->Write(*std::move(piece));
  }
}

/// `whole`: its answer ends as it should; else it is broken off.
void HttpLiveSession::LetReaderGo(bool whole) {
  if (!reply_) return;
  if (whole) {
    auto rest = Contain([&] { return output_->Finish(); });
    if (rest.ok() && !rest->empty() && !writing_) reply_->Write(*std::move(rest));
    reply_->End();
  }
  reply_.reset();
  output_.reset();
  head_.clear();
  writing_ = false;
}

void HttpLiveSession::Over(const Status& why) {
  LetReaderGo(why.ok() || why.code() == Code::kCancelled);
  for (const Todo& todo : std::exchange(todo_, {})) {
    if (todo.done) todo.done(why.ok() ? IsOver() : why);
  }
  if (const auto sessions = sessions_.lock()) sessions->Forget(id_);
  stream_.reset();  // last: the host waits for it
}

// ---------------------------------------------------------------- all of them

std::shared_ptr<HttpLiveSession> HttpLiveSessions::Open(SpeechHost& host,
                                                        std::shared_ptr<SpeechStream> stream,
                                                        LiveOutputKind kind) {
  const std::string id = stream->id();
  auto session = std::make_shared<HttpLiveSession>(host, std::move(stream), kind, weak_from_this());
  {
    const std::lock_guard lock(mu_);
    open_[id] = session;
  }
  session->Start();
  return session;
}

Result<std::shared_ptr<HttpLiveSession>> HttpLiveSessions::Find(const std::string& id) const {
  const std::lock_guard lock(mu_);
  const auto found = open_.find(id);
  if (found != open_.end()) return found->second;
  return Status(Code::kNotFound, "session '" + avatar::ShownText(id, kShownBytes) +
                                     "': no such session is open over HTTP");
}

void HttpLiveSessions::Forget(const std::string& id) {
  const std::lock_guard lock(mu_);
  open_.erase(id);
}

}  // namespace lipcast::server
