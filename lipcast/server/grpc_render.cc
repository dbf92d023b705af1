#include "lipcast/server/grpc_render.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <deque>
#include <fstream>
#include <mutex>
#include <utility>

#include "lipcast/server/grpc_call_link.h"
#include "lipcast/server/grpc_messages.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

using google::protobuf::util::TimeUtil;

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kPieceBytes = 1 << 20;
constexpr int kDefaultCrf = 20;

/// What a client asked for.
struct Order {
  std::string avatar;
  StreamOptions stream;
  std::optional<audio::AudioFormat> raw;
  std::optional<int> crf;  ///< set: a movie
};

Result<Order> OrderOf(const v1::RenderOpen& open, int jpeg_quality) {
  v1::OpenSession session;
  session.set_avatar(open.avatar());
  *session.mutable_audio() = open.audio();
  *session.mutable_video() = open.video();
  session.set_start_frame(open.start_frame());
  session.set_idle(open.idle());
  session.set_file_pace(true);
  Order order;
  LC_ASSIGN_OR_RETURN(order.stream, FromWire(session, jpeg_quality));
  if (order.stream.movie) {
    return Status(Code::kInvalidArgument,
                  "open.video.format = FMP4: want it of a session; here open.mp4 makes a movie");
  }
  order.avatar = open.avatar();
  if (open.has_audio()) order.raw = order.stream.session.format;
  if (open.mp4()) {
    if (open.video().format() != v1::PICTURE_FORMAT_UNSPECIFIED) {
      return Status(Code::kInvalidArgument,
                    "open.video.format with open.mp4: want one of them, an MP4 is H.264");
    }
    order.crf = open.crf() == 0 ? kDefaultCrf : open.crf();
  } else if (open.crf() != 0) {
    return Status(Code::kInvalidArgument, "open.crf without open.mp4: it has no effect");
  }
  return order;
}

/// The sound of one call, and where of it the stream is. Touched by one task at a time.
struct Work {
  RenderSound sound;
  std::unique_ptr<audio::AudioReader> reader;
  std::weak_ptr<SpeechStream> stream;  // which holds its listener, which holds this
  bool ended = false, closed = false;

  Status Append(const RenderPlace& place, const std::string& bytes) {
    if (!sound.file) {
      LC_ASSIGN_OR_RETURN(sound.file, UploadFile::Create(*place.uploads));
    }
    if (sound.file->bytes() + bytes.size() > place.upload_bytes) {
      return refusal::Exhausted(
          refusal::kSize, fmt::format("the sound has more than {} bytes (limits.upload_bytes)",
                                      place.upload_bytes));
    }
    return sound.file->Append(bytes);
  }

  /// The next request of the stream: sound, its end, the close.
  void Feed() {
    const auto alive = stream.lock();
    if (!alive) return;
    StreamRequest request;
    request.utterance = 1;
    if (!ended) {
      std::string bytes(kReadBytes, '\0');
      const auto read = reader->Read(std::as_writable_bytes(std::span(bytes)));
      if (!read.ok()) {
        alive->Cancel(read.status());
        return;
      }
      bytes.resize(*read);
      ended = bytes.empty();
      request.kind = ended ? StreamRequest::Kind::kEnd : StreamRequest::Kind::kAudio;
      request.audio = std::move(bytes);
    } else if (!std::exchange(closed, true)) {
      request.kind = StreamRequest::Kind::kClose;
    } else {
      return;
    }
    alive->Push(std::move(request));
  }
};

class RenderCall final : public grpc::ServerBidiReactor<v1::RenderRequest, v1::RenderResponse> {
 public:
  RenderCall(const RenderPlace& place, const Status& refused)
      : place_(place), link_(std::make_shared<Link>(this, *place.host)), work_(link_->work()) {
    if (refused.ok()) {
      StartRead(&request_);
    } else {
      const std::lock_guard lock(mu_);
      FinishLocked(refused);
    }
  }

 private:
  class Link final : public StreamListener,
                     public RenderListener,
                     public CallLink<RenderCall>,
                     public std::enable_shared_from_this<Link> {
   public:
    Link(RenderCall* call, SpeechHost& host) : CallLink(call), host_(host) {}
    const std::shared_ptr<Work>& work() const { return work_; }

    void OnOutput() override {
      Use([](RenderCall& call) { call.Advance(); });
    }
    void OnAccepted() override {
      host_.slow().Post(TimePoint{}, [work = work_](int) { work->Feed(); });
    }
    void OnRender(const RenderInfo& info,
                  const std::shared_ptr<const FinishedFile>& file) override {
      // The jobs' lock is held: what the call does with it must not be done here.
      host_.slow().Post(TimePoint{}, [self = shared_from_this(), info, file](int) {
        self->Use([&](RenderCall& call) { call.SetInfo(info, file); });
      });
    }

   private:
    SpeechHost& host_;
    const std::shared_ptr<Work> work_ = std::make_shared<Work>();
  };

  /// On a slow thread; what it returns is for the call, if that is still there.
  template <typename Do, typename Then>
  void Slowly(Do act, Then then) {
    place_.host->slow().Post(TimePoint{},
                             [link = link_, act = std::move(act), then = std::move(then)](int) {
                               auto result = Contain([&] { return act(); });
                               link->Use([&](RenderCall& call) { then(call, std::move(result)); });
                             });
  }

  // ---- the sound comes in

  void OnReadDone(bool ok) override {
    const std::lock_guard lock(mu_);
    if (finished_) return;
    if (!order_) {
      if (!ok || !request_.has_open()) {
        FinishLocked(Status(Code::kInvalidArgument, "the first request: want open"));
        return;
      }
      auto order = OrderOf(request_.open(), place_.jpeg_quality);
      if (!order.ok()) {
        FinishLocked(order.status());
        return;
      }
      order_ = *std::move(order);
      work_->sound.raw = order_->raw;
      StartRead(&request_);
      return;
    }
    if (ok && request_.request_case() != v1::RenderRequest::kAudio) {
      FinishLocked(Status(Code::kInvalidArgument, "after open: want audio"));
      return;
    }
    const std::string bytes = ok ? std::move(*request_.mutable_audio()) : std::string();
    Slowly([work = work_, bytes, &place = place_] { return work->Append(place, bytes); },
           [ok](RenderCall& call, const Status& status) { call.OnStored(status, !ok); });
  }

  void OnStored(const Status& status, bool whole) {
    const std::lock_guard lock(mu_);
    if (finished_) return;
    if (!status.ok()) {
      FinishLocked(status);
    } else if (!whole) {
      StartRead(&request_);
    } else if (order_->crf) {
      SubmitMovie();
    } else {
      OpenStream();
    }
  }

  // ---- frames

  void OpenStream() {
    place_.host->opening(order_->avatar)
        .Post(TimePoint{},
              [link = link_, work = work_, order = *order_, &host = *place_.host](int) {
                auto stream = Contain([&]() -> Result<std::shared_ptr<SpeechStream>> {
                  StreamOptions options = order.stream;
                  options.interface = "grpc";
                  LC_ASSIGN_OR_RETURN(work->reader, OpenRenderSound(work->sound));
                  options.session.format = work->reader->format();
                  return host.Open(order.avatar, options);
                });
                if (stream.ok()) work->stream = *stream;
                link->Use([&](RenderCall& call) { call.SetStream(std::move(stream)); });
              });
  }

  void SetStream(Result<std::shared_ptr<SpeechStream>> stream) {
    const std::lock_guard lock(mu_);
    if (finished_) return;
    if (!stream.ok()) {
      FinishLocked(stream.status());
      return;
    }
    stream_ = *std::move(stream);
    started_ = place_.host->parts().clock->Now();
    *responses_.emplace_back().mutable_opened() = OpenedOf(*stream_);
    if (const auto samples = work_->reader->total_samples()) {
      responses_.emplace_back().mutable_progress()->set_total_frames(
          FramesFor(*samples, work_->reader->format().rate_hz, stream_->fps()));
    }
    stream_->Start(link_);
    link_->OnAccepted();  // the first
    AdvanceLocked();
  }

  /// True once `responses_` has something, or the call is finished.
  bool TakeFromStream() {
    StreamEvent event;
    while (responses_.empty() && !finished_) {
      switch (stream_->Pop(&event)) {
        case SpeechStream::Popped::kNothing:
          return false;
        case SpeechStream::Popped::kEnd:
          if (!stream_->status().ok()) {
            FinishLocked(stream_->status());
          } else {
            for (const std::string& warning : work_->reader->warnings()) Warn(warning);
            Done(frames_, place_.host->parts().clock->Now() - started_,
                 inference::ProviderName(stream_->loaded()->generator->provider()));
          }
          return true;
        case SpeechStream::Popped::kEvent:
          if (event.kind == StreamEvent::Kind::kWarning) {
            Warn(event.message);
          } else if (event.kind == StreamEvent::Kind::kFrame) {
            v1::SpeakResponse wire;
            ToWire(std::move(event), stream_->fps(), &wire);
            *responses_.emplace_back().mutable_frame() = std::move(*wire.mutable_frame());
            ++frames_;
          }
      }
    }
    return true;
  }

  // ---- a movie

  void SubmitMovie() {
    RenderSpec spec;
    spec.avatar = order_->avatar;
    spec.session = order_->stream.session;
    spec.crf = *order_->crf;
    place_.host->slow().Post(
        TimePoint{}, [link = link_, work = work_, spec, &jobs = *place_.jobs](int) {
          auto job = Contain([&] { return jobs.Submit(spec, std::exchange(work->sound, {})); });
          const bool there = link->Use([&](RenderCall& call) { call.SetJob(job); });
          if (!job.ok()) return;
          const Status watched = there ? jobs.Watch(job->id, link) : jobs.Remove(job->id);
          if (!watched.ok()) {
            link->Use([&](RenderCall& call) { call.OnStored(watched, false); });
          }
        });
  }

  void SetJob(const Result<RenderInfo>& job) {
    const std::lock_guard lock(mu_);
    if (finished_) {
      if (job.ok()) job_ = job->id;  // OnDone removes it
    } else if (!job.ok()) {
      FinishLocked(job.status());
    } else {
      job_ = job->id;
    }
  }

  void SetInfo(const RenderInfo& info, const std::shared_ptr<const FinishedFile>& file) {
    const std::lock_guard lock(mu_);
    // Another thread may have been quicker with what came later.
    if (info_ && (IsOver(info_->state) || (!IsOver(info.state) && info.frames < info_->frames))) {
      return;
    }
    const bool progress =
        !info_ || info.frames != info_->frames || info.total_frames != info_->total_frames;
    info_ = info;
    file_ = file;
    told_ = told_ && !progress;
    AdvanceLocked();
  }

  bool TakeFromJob() {
    if (!info_) return false;
    if (!IsOver(info_->state)) {
      if (std::exchange(told_, true)) return false;
      v1::Progress& progress = *responses_.emplace_back().mutable_progress();
      progress.set_frames(info_->frames);
      progress.set_total_frames(info_->total_frames.value_or(0));
      return true;
    }
    if (!info_->status.ok()) {
      FinishLocked(info_->status);
      return true;
    }
    if (!reading_) ReadPiece();
    return false;
  }

  void ReadPiece() {
    reading_ = true;
    Slowly(
        [file = file_, at = file_at_]() -> Result<std::string> {
          std::ifstream in(file->path(), std::ios::binary);
          if (!in.is_open()) return Status(Code::kInternal, "the file cannot be opened again");
          std::string piece(kPieceBytes, '\0');
          in.seekg(at);
          in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
          if (in.bad()) return Status(Code::kInternal, "the file cannot be read back");
          piece.resize(static_cast<size_t>(in.gcount()));
          return piece;
        },
        [](RenderCall& call, Result<std::string> piece) { call.OnPiece(std::move(piece)); });
  }

  void OnPiece(Result<std::string> piece) {
    const std::lock_guard lock(mu_);
    reading_ = false;
    if (finished_) return;
    if (!piece.ok()) {
      FinishLocked(piece.status());
      return;
    }
    file_at_ += static_cast<std::streamoff>(piece->size());
    if (piece->empty()) {
      for (const std::string& warning : info_->warnings) Warn(warning);
      Done(info_->frames, info_->wall, info_->provider);
    } else {
      responses_.emplace_back().set_file(*std::move(piece));
    }
    AdvanceLocked();
  }

  // ---- what goes out

  void Warn(const std::string& text) {
    responses_.emplace_back().mutable_warning()->set_message(text);
  }
  void Done(int64_t frames, Nanoseconds wall, const std::string& provider) {
    v1::RenderDone& done = *responses_.emplace_back().mutable_done();
    done.set_frames(frames);
    *done.mutable_wall() = TimeUtil::NanosecondsToDuration(wall.count());
    done.set_provider(provider);
    all_there_ = true;
  }

  void Advance() {
    const std::lock_guard lock(mu_);
    AdvanceLocked();
  }
  void AdvanceLocked() {
    if (writing_ || finished_) return;
    if (responses_.empty()) {
      if (all_there_) {
        FinishLocked({});
        return;
      }
      if (stream_ ? !TakeFromStream() : !job_ || !TakeFromJob()) return;
      if (finished_) return;
    }
    response_ = std::move(responses_.front());
    responses_.pop_front();
    writing_ = true;
    StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mu_);
    writing_ = false;
    if (ok) AdvanceLocked();
  }

  void FinishLocked(const Status& why) {
    if (std::exchange(finished_, true)) return;
    Finish(ToWire(why));
  }
  void OnCancel() override {
    const std::lock_guard lock(mu_);
    FinishLocked(Status(Code::kCancelled, "the client left"));
  }
  void OnDone() override {
    link_->Cut();
    {
      const std::lock_guard lock(mu_);
      if (stream_) stream_->Cancel(Status(Code::kCancelled, "the call is over"));
      if (job_) {
        place_.host->slow().Post(TimePoint{}, [&jobs = *place_.jobs, id = *job_](int) {
          [[maybe_unused]] const Status gone = jobs.Remove(id);  // it may have gone by itself
        });
      }
    }
    delete this;
  }

  const RenderPlace& place_;
  const std::shared_ptr<Link> link_;
  const std::shared_ptr<Work> work_;
  v1::RenderRequest request_;
  std::mutex mu_;
  // All that follows is guarded by mu_; the response while no write is under way.
  std::optional<Order> order_;
  std::shared_ptr<SpeechStream> stream_;  // frames
  TimePoint started_{};
  int64_t frames_ = 0;
  std::optional<std::string> job_;  // a movie
  std::optional<RenderInfo> info_;
  std::shared_ptr<const FinishedFile> file_;  // once it is done: other jobs may need its room
  bool told_ = false;
  bool reading_ = false;
  std::streamoff file_at_ = 0;
  std::deque<v1::RenderResponse> responses_;
  v1::RenderResponse response_;
  bool all_there_ = false, writing_ = false, finished_ = false;
};

}  // namespace

grpc::ServerBidiReactor<v1::RenderRequest, v1::RenderResponse>* AnswerRender(
    const RenderPlace& place, const Status& refused) {
  return new RenderCall(place, refused);
}

}  // namespace lipcast::server
