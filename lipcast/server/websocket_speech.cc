#include "lipcast/server/websocket_speech.h"

#include <google/protobuf/util/json_util.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
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
constexpr auto kGoodbye = std::chrono::seconds(10);
/// For what stands between, which may close what is silent. No answer is wanted: a client that has
/// enough to play may leave the socket alone for long.
constexpr auto kPingEvery = std::chrono::seconds(15);
/// A machine that answers nothing, or a client that takes nothing of what waits for it.
constexpr auto kPeerGone = std::chrono::minutes(5);
constexpr int kAskPeerAfterS = 30, kAskPeerEveryS = 10;
constexpr size_t kMaxReasonBytes = 120;  // a close frame has 123

/// The kernel finds the peer that is gone, whether or not anybody reads or writes.
void WatchPeer(asio::ip::tcp::socket& socket) {
  beast::error_code ignored;
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const auto set = [&](int name, int value) {
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, name, &value, sizeof value);
  };
  set(TCP_KEEPIDLE, kAskPeerAfterS);
  set(TCP_KEEPINTVL, kAskPeerEveryS);
  set(TCP_USER_TIMEOUT, static_cast<int>(std::chrono::milliseconds(kPeerGone).count()));
}

/// On the socket's thread, but for Link.
class Session final : public std::enable_shared_from_this<Session> {
 public:
  Session(HttpSocket socket, std::shared_ptr<HttpGate> gate, SpeechHost& host,
          const WebSocketOptions& options)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        gate_(std::move(gate)),
        host_(host),
        options_(options) {}

  void Accept(UpgradeRequest request) {
    auto& lowest = beast::get_lowest_layer(socket_);
    lowest.expires_never();
    WatchPeer(lowest.socket());
    auto timeout = websocket::stream_base::timeout::suggested(beast::role_type::server);
    // It would count what is read, and nothing is while sound finds no room.
    timeout.idle_timeout = websocket::stream_base::none();
    timeout.keep_alive_pings = false;
    socket_.set_option(timeout);
    socket_.auto_fragment(false);
    socket_.write_buffer_bytes(kWriteBufferBytes);
    socket_.read_message_max(options_.message_bytes);
    request_head_ = std::move(request);
    socket_.async_accept(request_head_, [self = shared_from_this()](beast::error_code error) {
      if (error) return;
      self->Wait(kOpenTime, [](Session& one) {
        one.Close(Status(Code::kDeadlineExceeded, "no open within 10 s"));
      });
      self->Read();
    });
  }

 private:
  /// What streams and loads hold of it. They may outlive it, and its thread.
  class Link final : public StreamListener {
   public:
    Link(std::shared_ptr<HttpGate> gate, std::weak_ptr<Session> session)
        : gate_(std::move(gate)), session_(std::move(session)) {}
    void OnOutput() override {
      gate_->Post([session = session_] {
        if (const auto one = session.lock()) one->Write();
      });
    }
    void OnAccepted() override {
      gate_->Post([session = session_] {
        if (const auto one = session.lock()) one->Read();
      });
    }
    void Opened(Result<std::shared_ptr<SpeechStream>> stream) {
      gate_->Post([session = session_, stream = std::move(stream)] {
        if (const auto one = session.lock()) {
          one->Opened(stream);
        } else if (stream.ok()) {
          (*stream)->Cancel(Status(Code::kCancelled, kClientLeft));
        }
      });
    }

   private:
    const std::shared_ptr<HttpGate> gate_;
    const std::weak_ptr<Session> session_;
  };

  /// Takes the place of the wait before. What waits also holds the session: while its avatar loads,
  /// or its sound finds no room, nothing else does.
  void Wait(std::chrono::steady_clock::duration time, void (*then)(Session&)) {
    timer_.expires_after(time);
    timer_.async_wait([self = shared_from_this(), number = ++waits_, then](beast::error_code) {
      if (number == self->waits_) then(*self);
    });
  }

  void Ping() {
    if (!std::exchange(wrote_, false) && !std::exchange(pinging_, true)) {
      socket_.async_ping({}, [self = shared_from_this()](beast::error_code error) {
        self->pinging_ = false;
        if (error) self->Leave(kClientLeft);
      });
    }
    Wait(kPingEvery, [](Session& one) { one.Ping(); });
  }

  void Read() {
    if (closing_) return;
    buffer_.clear();
    socket_.async_read(buffer_, [self = shared_from_this()](beast::error_code error, size_t) {
      if (error == websocket::error::closed) {  // said politely: what was said is over too
        self->Leave("the client closed the socket");
      } else if (error) {
        self->Leave(kClientLeft);
      } else {
        self->OnMessage();
      }
    });
  }

  void Leave(const char* why) {
    if (std::exchange(closing_, true)) return;
    if (stream_) stream_->Cancel(Status(Code::kCancelled, why));
    stream_.reset();
    BreakOff();
  }
  void BreakOff() {
    ++waits_;
    timer_.cancel();
    beast::get_lowest_layer(socket_).close();
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
    Wait(kPingEvery, [](Session& one) { one.Ping(); });
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
    options->peer = options_.peer;
    link_ = std::make_shared<Link>(gate_, weak_from_this());
    const std::string& name = request.open().avatar();
    host_.opening(name).Post(TimePoint{}, [&host = host_, link = link_, name, options = *options](
                                              int) { link->Opened(host.Open(name, options)); });
  }

  void Opened(const Result<std::shared_ptr<SpeechStream>>& stream) {
    if (closing_) {
      if (stream.ok()) (*stream)->Cancel(Status(Code::kCancelled, kClientLeft));
      return;
    }
    if (!stream.ok()) {
      Close(stream.status());
      return;
    }
    stream_ = *stream;
    v1::SpeakResponse response;
    *response.mutable_opened() = OpenedOf(*stream_);
    stream_->Start(link_);
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
    writing_ = wrote_ = true;
    response.SerializeToString(&out_);
    socket_.binary(true);
    socket_.async_write(asio::buffer(out_),
                        [self = shared_from_this()](beast::error_code error, size_t) {
                          self->writing_ = false;
                          if (error) {
                            self->Leave(kClientLeft);
                          } else if (self->closing_) {
                            self->SendClose();
                          } else {
                            self->Write();
                          }
                        });
  }

  void Close(const Status& why) {
    if (std::exchange(closing_, true)) return;
    if (stream_) stream_->Cancel(why);
    stream_.reset();
    reason_.code = why.ok() ? websocket::close_code::normal : websocket::close_code::policy_error;
    if (!why.ok()) reason_.reason = why.ToString().substr(0, kMaxReasonBytes);
    // A client that does not take what was written takes no goodbye either.
    Wait(kGoodbye, [](Session& one) { one.BreakOff(); });
    if (!writing_) SendClose();
  }
  void SendClose() {
    socket_.async_close(reason_,
                        [self = shared_from_this()](beast::error_code) { self->BreakOff(); });
  }

  static constexpr const char* kClientLeft = "the client left";

  websocket::stream<HttpSocket> socket_;
  asio::steady_timer timer_;
  uint64_t waits_ = 0;  // begun or called off: an older one's end means nothing
  const std::shared_ptr<HttpGate> gate_;
  SpeechHost& host_;
  const WebSocketOptions options_;
  UpgradeRequest request_head_;
  beast::flat_buffer buffer_;
  std::shared_ptr<Link> link_;
  std::shared_ptr<SpeechStream> stream_;
  std::string out_;
  websocket::close_reason reason_;
  bool writing_ = false, wrote_ = false, pinging_ = false, closing_ = false;
};

}  // namespace

void SpeakOverWebSocket(HttpSocket socket, UpgradeRequest request, std::shared_ptr<HttpGate> gate,
                        SpeechHost& host, const WebSocketOptions& options) {
  std::make_shared<Session>(std::move(socket), std::move(gate), host, options)
      ->Accept(std::move(request));
}

}  // namespace lipcast::server
