#include "lipcast/server/grpc_speech_service.h"

#include <fmt/format.h>

#include <memory>
#include <mutex>
#include <utility>

#include "lipcast/server/grpc_call_link.h"
#include "lipcast/server/grpc_messages.h"

namespace lipcast::server {
namespace {

/// One call. gRPC owns its time: OnDone is the last thing it says, and ends the object.
/// The stream knows it through Link, which outlives both.
class SpeakCall final : public grpc::ServerBidiReactor<v1::SpeakRequest, v1::SpeakResponse> {
 public:
  /// `refused`: the call ends with it at once, unless it is OK.
  SpeakCall(SpeechHost& host, int jpeg_quality, std::string peer, const Status& refused)
      : host_(host),
        jpeg_quality_(jpeg_quality),
        peer_(std::move(peer)),
        link_(std::make_shared<Link>(this)) {
    if (refused.ok()) {
      StartRead(&request_);
    } else {
      const std::lock_guard lock(mu_);
      FinishLocked(refused);
    }
  }

 private:
  class Link final : public StreamListener, public CallLink<SpeakCall> {
   public:
    using CallLink::CallLink;
    void OnOutput() override {
      Use([](SpeakCall& call) { call.Write(); });
    }
    void OnAccepted() override {
      Use([](SpeakCall& call) { call.Read(); });
    }
    void Opened(Result<std::shared_ptr<SpeechStream>> stream) {
      const bool there = Use([&](SpeakCall& call) { call.SetStream(std::move(stream)); });
      if (!there && stream.ok()) {
        (*stream)->Cancel(Status(Code::kCancelled, "the client left"));
      }
    }
  };

  void OnReadDone(bool ok) override {
    std::unique_lock lock(mu_);
    if (finished_) return;
    if (!stream_) {
      if (!ok || !request_.has_open()) {
        FinishLocked(Status(Code::kInvalidArgument, "the first request: want open"));
        return;
      }
      Open();
      return;
    }
    if (!ok) {  // the client said its last word; what it said is still played
      reads_over_ = true;
      stream_->Push({.kind = StreamRequest::Kind::kClose, .audio = {}});
      return;
    }
    auto request = FromWire(std::move(request_));
    if (!request.ok()) {
      FinishLocked(request.status());
      return;
    }
    stream_->Push(*std::move(request));
  }

  void Open() {
    auto options = FromWire(request_.open(), jpeg_quality_);
    if (!options.ok()) {
      FinishLocked(options.status());
      return;
    }
    options->interface = "grpc";
    options->peer = peer_;
    const std::string& name = request_.open().avatar();
    host_.opening(name).Post(TimePoint{}, [&host = host_, link = link_, name, options = *options](
                                              int) { link->Opened(host.Open(name, options)); });
  }

  void SetStream(Result<std::shared_ptr<SpeechStream>> stream) {
    const std::lock_guard lock(mu_);
    if (finished_) return;
    if (!stream.ok()) {
      FinishLocked(stream.status());
      return;
    }
    stream_ = *std::move(stream);
    response_.Clear();
    *response_.mutable_opened() = OpenedOf(*stream_);
    writing_ = true;
    StartWrite(&response_);
    stream_->Start(link_);
    StartRead(&request_);
  }

  void Read() {
    const std::lock_guard lock(mu_);
    if (!finished_ && !reads_over_) StartRead(&request_);
  }

  void Write() {
    const std::lock_guard lock(mu_);
    WriteLocked();
  }
  void WriteLocked() {
    if (writing_ || finished_ || !stream_) return;
    StreamEvent event;
    switch (stream_->Pop(&event)) {
      case SpeechStream::Popped::kNothing:
        return;
      case SpeechStream::Popped::kEnd:
        FinishLocked(stream_->status());
        return;
      case SpeechStream::Popped::kEvent:
        response_.Clear();
        ToWire(std::move(event), stream_->fps(), &response_);
        writing_ = true;
        StartWrite(&response_);
    }
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mu_);
    writing_ = false;
    if (ok) WriteLocked();
  }

  void FinishLocked(const Status& why) {
    if (std::exchange(finished_, true)) return;
    Finish(ToWire(why));
  }
  void OnCancel() override {
    const std::lock_guard lock(mu_);
    if (stream_) stream_->Cancel(Status(Code::kCancelled, "the client left"));
    FinishLocked(Status(Code::kCancelled, "the client left"));
  }
  void OnDone() override {
    link_->Cut();
    {
      const std::lock_guard lock(mu_);
      if (stream_) stream_->Cancel(Status(Code::kCancelled, "the call is over"));
    }
    delete this;
  }

  SpeechHost& host_;
  const int jpeg_quality_;
  const std::string peer_;
  const std::shared_ptr<Link> link_;
  v1::SpeakRequest request_;
  std::mutex mu_;
  v1::SpeakResponse response_;            // guarded by mu_ while no write is under way
  std::shared_ptr<SpeechStream> stream_;  // guarded by mu_
  bool writing_ = false;                  // guarded by mu_
  bool reads_over_ = false;               // guarded by mu_
  bool finished_ = false;                 // guarded by mu_
};

}  // namespace

grpc::ServerBidiReactor<v1::SpeakRequest, v1::SpeakResponse>* GrpcSpeechService::Speak(
    grpc::CallbackServerContext* context) {
  std::string peer = AddressOfPeer(context->peer());
  const Status allowed = access_.AllowOpen(peer);
  return new SpeakCall(host_, jpeg_quality_, std::move(peer), allowed);
}

}  // namespace lipcast::server
