#include "lipcast/server/websocket_speech.h"

#include <google/protobuf/util/json_util.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <memory>
#include <string>
#include <utility>

#include "lipcast/server/grpc_messages.h"

namespace lipcast::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

constexpr size_t kWriteBufferBytes = 64 << 10;
constexpr auto kOpenTime = std::chrono::seconds(10);
constexpr size_t kMaxReasonBytes = 120;  // a close frame has 123

class Session final : public StreamListener, public std::enable_shared_from_this<Session> {
 public:
  Session(HttpSocket socket, SpeechHost& host, const WebSocketOptions& options)
      : socket_(std::move(socket)),
        open_timer_(socket_.get_executor()),
        host_(host),
        options_(options) {}

  void Accept(UpgradeRequest request) {
    beast::get_lowest_layer(socket_).expires_never();
    auto timeout = websocket::stream_base::timeout::suggested(beast::role_type::server);
    timeout.keep_alive_pings = true;
    timeout.idle_timeout = std::chrono::seconds(30);
    socket_.set_option(timeout);
    socket_.auto_fragment(false);
    socket_.write_buffer_bytes(kWriteBufferBytes);
    socket_.read_message_max(options_.message_bytes);
    request_head_ = std::move(request);
    socket_.async_accept(request_head_, [self = shared_from_this()](beast::error_code error) {
      if (error) return;
      self->WaitForOpen();
      self->Read();
    });
  }

  void OnOutput() override {
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->Write(); });
  }
  void OnAccepted() override {
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->Read(); });
  }

 private:
  void WaitForOpen() {
    open_timer_.expires_after(kOpenTime);
    open_timer_.async_wait([self = shared_from_this()](beast::error_code stopped) {
      if (!stopped) self->Close(Status(Code::kDeadlineExceeded, "no open within 10 s"));
    });
  }

  void Read() {
    if (closing_) return;
    buffer_.clear();
    socket_.async_read(buffer_, [self = shared_from_this()](beast::error_code error, size_t) {
      if (error == websocket::error::closed) {  // said politely: what was said is over too
        self->Leave("the client closed the socket");
      } else if (error) {
        self->Leave("the client left");
      } else {
        self->OnMessage();
      }
    });
  }

  void Leave(const char* why) {
    closing_ = true;
    open_timer_.cancel();
    if (stream_) stream_->Cancel(Status(Code::kCancelled, why));
    stream_.reset();  // it holds us
  }

  void OnMessage() {
    v1::SpeakRequest request;
    const auto data = buffer_.cdata();
    const auto* bytes = static_cast<const char*>(data.data());
    const bool good =
        socket_.got_text()
            ? google::protobuf::util::JsonStringToMessage({bytes, data.size()}, &request).ok()
            : request.ParseFromArray(bytes, static_cast<int>(data.size()));
    if (!good) {
      Close(Status(Code::kInvalidArgument, "a message that is no SpeakRequest"));
      return;
    }
    if (!stream_) {
      Open(request);
      return;
    }
    auto parsed = FromWire(std::move(request));
    if (!parsed.ok()) {
      Close(parsed.status());
      return;
    }
    stream_->Push(*std::move(parsed));
  }

  void Open(const v1::SpeakRequest& request) {
    open_timer_.cancel();
    if (!request.has_open()) {
      Close(Status(Code::kInvalidArgument, "the first request: want open"));
      return;
    }
    auto options = FromWire(request.open(), options_.jpeg_quality);
    if (!options.ok()) {
      Close(options.status());
      return;
    }
    options->interface = "websocket";
    host_.slow().Post(TimePoint{}, [self = shared_from_this(), name = request.open().avatar(),
                                    options = *options](int) {
      auto stream = self->host_.Open(name, options);
      asio::post(self->socket_.get_executor(),
                 [self, stream = std::move(stream)]() mutable { self->Opened(std::move(stream)); });
    });
  }

  void Opened(Result<std::shared_ptr<SpeechStream>> stream) {
    if (!stream.ok()) {
      Close(stream.status());
      return;
    }
    stream_ = *std::move(stream);
    v1::SpeakResponse response;
    *response.mutable_opened() = OpenedOf(*stream_);
    stream_->Start(shared_from_this());
    Send(response);
    Read();
  }

  void Write() {
    if (writing_ || closing_ || !stream_) return;
    StreamEvent event;
    switch (stream_->Pop(&event)) {
      case SpeechStream::Popped::kNothing:
        return;
      case SpeechStream::Popped::kEnd:
        Close(stream_->status());
        return;
      case SpeechStream::Popped::kEvent: {
        v1::SpeakResponse response;
        ToWire(std::move(event), stream_->fps(), &response);
        Send(response);
      }
    }
  }

  void Send(const v1::SpeakResponse& response) {
    writing_ = true;
    response.SerializeToString(&out_);
    socket_.binary(true);
    socket_.async_write(asio::buffer(out_),
                        [self = shared_from_this()](beast::error_code error, size_t) {
                          self->writing_ = false;
                          if (error) {
                            self->Leave("the client left");
                          } else if (self->closing_) {
                            self->SendClose();
                          } else {
                            self->Write();
                          }
                        });
  }

  void Close(const Status& why) {
    if (std::exchange(closing_, true)) return;
    open_timer_.cancel();
    if (stream_) stream_->Cancel(why);
    stream_.reset();  // it holds us
    reason_.code = why.ok() ? websocket::close_code::normal : websocket::close_code::policy_error;
    if (!why.ok()) reason_.reason = why.ToString().substr(0, kMaxReasonBytes);
    if (!writing_) SendClose();
  }
  void SendClose() {
    socket_.async_close(reason_, [self = shared_from_this()](beast::error_code) {});
  }

  websocket::stream<HttpSocket> socket_;
  boost::asio::steady_timer open_timer_;
  SpeechHost& host_;
  const WebSocketOptions options_;
  UpgradeRequest request_head_;
  beast::flat_buffer buffer_;
  std::shared_ptr<SpeechStream> stream_;
  std::string out_;
  websocket::close_reason reason_;
  bool writing_ = false, closing_ = false;
};

}  // namespace

void SpeakOverWebSocket(HttpSocket socket, UpgradeRequest request, SpeechHost& host,
                        const WebSocketOptions& options) {
  std::make_shared<Session>(std::move(socket), host, options)->Accept(std::move(request));
}

}  // namespace lipcast::server
