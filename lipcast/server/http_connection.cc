#include "lipcast/server/http_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <cctype>
#include <sstream>
#include <utility>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/prometheus_metrics.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

constexpr auto kHeadTime = std::chrono::seconds(10);
constexpr auto kPieceTime = std::chrono::seconds(30);
constexpr auto kBetweenRequests = std::chrono::seconds(30);
constexpr auto kGoodbye = std::chrono::seconds(5);
constexpr uint32_t kMaxHeadBytes = 8192;
constexpr size_t kPieceBytes = 256 << 10;
constexpr uint64_t kMaxDiscarded = 16 << 20;

HttpAnswer Failure(int http_code, Code code, std::string message, std::string_view reason = {}) {
  return FailureAnswer(Status(code, std::move(message), reason), http_code);
}

/// A client that asks too often is at fault itself: 429, not 503.
HttpAnswer TooOften(const Status& status) {
  return FailureAnswer(status, status.code() == Code::kResourceExhausted ? 429 : 0);
}

bool IsOneLine(std::string_view text) {
  return std::ranges::none_of(
      text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

}  // namespace

HttpConnection::HttpConnection(HttpSocket socket, HttpHall& hall)
    : socket_(std::move(socket)), hall_(hall), buffer_(2 * kMaxHeadBytes) {
  beast::error_code error;
  const auto endpoint = socket_.next_layer().socket().remote_endpoint(error);
  if (!error) peer_ = endpoint.address().to_string();
}

void HttpConnection::Start() {
  socket_.next_layer().expires_after(kHeadTime);
  if (!socket_.secure()) {
    ReadHead();
    return;
  }
  socket_.tls().async_handshake(asio::ssl::stream_base::server,
                                [self = shared_from_this()](beast::error_code error) {
                                  if (!error) self->ReadHead();
                                });
}

void HttpConnection::WaitForNext() {
  if (buffer_.size() > 0) {
    ReadHead();
    return;
  }
  socket_.next_layer().expires_after(kBetweenRequests);
  socket_.async_read_some(buffer_.prepare(kMaxHeadBytes),
                          [self = shared_from_this()](beast::error_code error, size_t bytes) {
                            if (error) return;
                            self->buffer_.commit(bytes);
                            self->ReadHead();
                          });
}

void HttpConnection::ReadHead() {
  parser_.emplace();
  parser_->header_limit(kMaxHeadBytes);
  parser_->body_limit(std::max(hall_.options.upload_bytes, kMaxJsonBytes));
  route_ = nullptr;
  label_ = "other";
  any_origin_ = false;
  call_ = {};
  head_only_ = false;
  keep_alive_ = false;
  chunked_ = true;
  socket_.next_layer().expires_after(kHeadTime);
  http::async_read_header(
      socket_, buffer_, *parser_, [self = shared_from_this()](beast::error_code error, size_t) {
        if (!error) {
          self->OnHead();
        } else if (error == http::error::header_limit || error == http::error::buffer_overflow) {
          self->Refuse(
              Failure(431, Code::kInvalidArgument, "the head of the request is too large"));
        } else if (error == http::error::body_limit) {
          self->Refuse(Failure(413, Code::kInvalidArgument, "the body is too large"));
        } else if (error.category() == beast::error_code(http::error::bad_method).category() &&
                   error != http::error::end_of_stream && error != http::error::partial_message) {
          self->Refuse(Failure(400, Code::kInvalidArgument, "not an HTTP request"));
        }
      });
}

Status HttpConnection::CheckAccess(const HttpTarget& target, bool takes_session_token) const {
  AccessControl* access = hall_.options.access;
  if (access == nullptr) return {};
  const auto token = target.query.find(kTokenParameter);
  if (takes_session_token && token != target.query.end()) {
    return access->CheckSessionToken(token->second, peer_);
  }
  return access->CheckHeader(parser_->get()[http::field::authorization], peer_);
}

Status HttpConnection::AllowOpen() const {
  return hall_.options.access == nullptr ? Status() : hall_.options.access->AllowOpen(peer_);
}

/// An answer for what may not be done, or the route cannot.
std::optional<HttpAnswer> HttpConnection::Refused(const HttpTarget& target,
                                                  const HttpRouter::Match& match) const {
  const auto& request = parser_->get();
  if (request.method() == http::verb::options && !match.allow.empty()) {
    return HttpAnswer{204, "", "", {{"Allow", match.allow}}};  // browsers ask it without a token
  }
  const HttpRoute* route = match.route;
  if (route == nullptr || !route->open) {
    const Status access = CheckAccess(target, route != nullptr && route->session_token);
    if (!access.ok()) return TooOften(access);
  }
  if (match.allow.empty()) return Failure(404, Code::kNotFound, "no such path");
  if (route == nullptr) {
    HttpAnswer answer = Failure(405, Code::kUnimplemented, "want " + match.allow);
    answer.headers.emplace_back("Allow", match.allow);
    return answer;
  }
  const auto length = parser_->content_length();
  const bool has_body = parser_->chunked() || length.value_or(0) > 0;
  if (auto refused = RefuseCall(*route, target, request[http::field::content_type], has_body)) {
    return refused;
  }
  if (has_body && route->body == HttpBody::kNone) {
    return Failure(413, Code::kInvalidArgument, "want no body");
  }
  if (route->body == HttpBody::kFile && !parser_->chunked() && !length) {
    return Failure(411, Code::kInvalidArgument, "want a body with its length, or chunked");
  }
  const Status opens = route->opens_session ? AllowOpen() : Status();
  if (!opens.ok()) return TooOften(opens);
  return std::nullopt;
}

void HttpConnection::Upgrade(const UpgradeHandler& handler, const HttpTarget& target) {
  Status status = CheckAccess(target, true);
  if (status.ok() && target.query.size() != target.query.count(kTokenParameter)) {
    status = Status(Code::kInvalidArgument, "query: want token, or nothing");
  }
  if (status.ok() && !beast::websocket::is_upgrade(parser_->get())) {
    HttpAnswer answer = Failure(426, Code::kInvalidArgument, "want a WebSocket");
    answer.headers.emplace_back("Upgrade", "websocket");
    Refuse(std::move(answer));
    return;
  }
  if (status.ok()) status = AllowOpen();
  if (status.ok()) {
    handler(std::move(socket_), UpgradeRequest(parser_->get().base()), hall_.gate, peer_);
  } else {
    Refuse(TooOften(status));
  }
}

void HttpConnection::OnHead() {
  const auto& request = parser_->get();
  keep_alive_ = request.keep_alive();
  head_only_ = request.method() == http::verb::head;
  chunked_ = request.version() >= 11;
  auto target = ParseTarget({request.target().data(), request.target().size()});
  if (!target.ok()) {
    Refuse(FailureAnswer(target.status()));
    return;
  }
  auto match = hall_.options.router.Find(std::string(request.method_string()), *target);
  if (match.route != nullptr) label_ = match.route->method + " " + match.route->pattern;
  const std::string_view host = request[http::field::host];
  if (!HostAllowed(host, hall_.options.origins)) {
    Refuse(Failure(403, Code::kPermissionDenied,
                   "Host: '" + avatar::ShownText(host, 80) +
                       "': want a loopback name, or the host of one of listen.origins"));
    return;
  }
  const bool own = OriginAllowed(request[http::field::origin], host, hall_.options.origins);
  any_origin_ = match.any_origin;
  if (!own && !any_origin_) {
    Refuse(FailureAnswer(refusal::OtherOrigin()));
    return;
  }
  const auto upgrade = hall_.options.upgrades.find(target->path());
  if (upgrade != hall_.options.upgrades.end()) {
    label_ = "GET " + upgrade->first;
    Upgrade(upgrade->second, *target);
    return;
  }
  if (auto refused = Refused(*target, match)) {
    Refuse(std::move(*refused));
    return;
  }
  route_ = match.route;
  if (route_->tells_access)
    call_.access = own ? CheckAccess(*target, false) : refusal::OtherOrigin();
  if (route_->session_token) target->query.erase(kTokenParameter);
  call_.method = route_->method;
  call_.target = *std::move(target);
  call_.path = std::move(match.path);
  call_.peer = peer_;
  for (const auto& field : request) {
    if (field.name() == http::field::authorization || field.name() == http::field::cookie) continue;
    std::string name(field.name_string());
    std::ranges::transform(name, name.begin(), [](char c) {
      return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
    call_.headers.emplace(std::move(name), std::string(field.value()));
  }
  StartBody(route_->body == HttpBody::kFile ? hall_.options.upload_bytes : kMaxJsonBytes);
}

bool HttpConnection::TooLarge() const {
  const uint64_t have = call_.file ? call_.file->bytes() : call_.body.size();
  return have + piece_.size() > body_limit_;
}

void HttpConnection::StartBody(uint64_t limit) {
  body_limit_ = limit;
  if (parser_->content_length().value_or(0) > limit) {
    Refuse(Failure(
        413, Code::kInvalidArgument,
        fmt::format("a body of {} bytes: want at most {}", *parser_->content_length(), limit)));
    return;
  }
  const auto read = [self = shared_from_this()] {
    if (self->parser_->is_done()) {
      self->Dispatch();
      return;
    }
    if (!beast::iequals(self->parser_->get()[http::field::expect], "100-continue")) {
      self->ReadBody();
      return;
    }
    self->Put("HTTP/1.1 100 Continue\r\n\r\n", [raw = self.get()] { raw->ReadBody(); });
  };
  if (route_->body != HttpBody::kFile) {
    read();
    return;
  }
  hall_.disk->Post(TimePoint{}, [read, self = shared_from_this(), gate = hall_.gate,
                                 &folder = *hall_.options.uploads](int) mutable {
    auto file = UploadFile::Create(folder);
    gate->Post([read = std::move(read), self = std::move(self), file = std::move(file)] {
      if (!file.ok()) {
        self->Refuse(FailureAnswer(file.status()));
        return;
      }
      self->call_.file = *file;
      read();
    });
  });
}

void HttpConnection::ReadBody() {
  const uint64_t have = call_.file ? call_.file->bytes() : call_.body.size();
  piece_.resize(std::min<uint64_t>(kPieceBytes, body_limit_ - have + 1));  // one over is enough
  auto& body = parser_->get().body();
  body.data = piece_.data();
  body.size = piece_.size();
  socket_.next_layer().expires_after(kPieceTime);
  http::async_read(socket_, buffer_, *parser_,
                   [self = shared_from_this()](beast::error_code error, size_t) {
                     if (error == http::error::need_buffer) error = {};
                     if (error == http::error::body_limit) {
                       self->Refuse(Failure(413, Code::kInvalidArgument, "the body is too large"));
                     } else if (error == beast::error::timeout) {
                       self->Gone();
                     } else if (!error) {
                       self->piece_.resize(self->piece_.size() - self->parser_->get().body().size);
                       self->OnBody();
                     }
                   });
}

void HttpConnection::OnBody() {
  if (TooLarge()) {
    Refuse(Failure(413, Code::kInvalidArgument,
                   fmt::format("the body: want at most {} bytes", body_limit_)));
    return;
  }
  if (!call_.file) {
    call_.body += piece_;
    parser_->is_done() ? Dispatch() : ReadBody();
    return;
  }
  hall_.disk->Post(TimePoint{}, [self = shared_from_this(), gate = hall_.gate](int) mutable {
    Status written = self->call_.file->Append(self->piece_);
    gate->Post([self = std::move(self), written = std::move(written)] {
      if (!written.ok()) {
        self->Refuse(FailureAnswer(written));
      } else {
        self->parser_->is_done() ? self->Dispatch() : self->ReadBody();
      }
    });
  });
}

void HttpConnection::Dispatch() {
  piece_ = {};
  hall_.answering.insert(shared_from_this());
  route_->handler(std::exchange(call_, {}), MakeHttpReply(hall_.gate, weak_from_this()));
}

/// What of the request was not read has to go, so the connection goes with it.
void HttpConnection::Refuse(HttpAnswer answer) {
  if (parser_ && !parser_->is_done()) keep_alive_ = false;
  Send(std::move(answer));
}

std::string HttpConnection::HeadOf(const HttpAnswer& answer, std::optional<uint64_t> bytes) {
  if (hall_.options.metrics != nullptr) {
    const std::string code = std::to_string(answer.code);
    hall_.options.metrics->Count(
        Labelled("requests_total", {{"interface", "http"}, {"method", label_}, {"code", code}}), 1);
  }
  http::response<http::empty_body> head;
  head.version(chunked_ ? 11 : 10);
  head.result(static_cast<unsigned>(answer.code));
  head.set(http::field::cache_control, "no-store");
  head.set("X-Content-Type-Options", "nosniff");
  head.set("Referrer-Policy", "no-referrer");
  if (!answer.type.empty()) head.set(http::field::content_type, answer.type);
  if (parser_) {
    const auto& request = parser_->get();
    const bool asks_before = request.method() == http::verb::options;
    for (auto& [name, value] : OriginHeaders(request[http::field::origin], any_origin_, asks_before,
                                             hall_.options.origins)) {
      head.set(name, value);
    }
  }
  for (const auto& [name, value] : answer.headers) {
    if (IsOneLine(name) && IsOneLine(value)) head.set(name, value);
  }
  head.keep_alive(keep_alive_);
  if (bytes) {
    if (answer.code != 204 && answer.code != 304) head.content_length(*bytes);
  } else if (chunked_) {
    head.chunked(true);
  }
  std::ostringstream text;
  text << head.base();
  return std::move(text).str();
}

void HttpConnection::Send(HttpAnswer answer) {
  hall_.answering.erase(shared_from_this());
  std::string text = HeadOf(answer, answer.body.size());
  if (!head_only_) text += answer.body;
  Put(std::move(text), [this] { keep_alive_ ? WaitForNext() : CloseGently(); });
}

void HttpConnection::Begin(HttpAnswer head, HttpReply::Stream stream) {
  keep_alive_ = false;
  chunked_ = chunked_ && !stream.bytes;
  std::string text = HeadOf(head, stream.bytes);
  stream_ = std::move(stream);
  if (!head_only_) Watch();
  Put(std::move(text), [this] {
    if (head_only_) {
      Gone();
    } else if (stream_ && stream_->on_written) {
      stream_->on_written();
    }
  });
}

void HttpConnection::WritePiece(std::string piece) {
  if (!stream_) return;
  if (after_out_ != nullptr) {
    Gone();
    return;
  }
  if (chunked_ && !piece.empty()) piece = fmt::format("{:x}\r\n", piece.size()) + piece + "\r\n";
  Put(std::move(piece), [this] {
    if (stream_ && stream_->on_written) stream_->on_written();
  });
}

void HttpConnection::End() {
  if (!stream_) return;
  const auto self = shared_from_this();
  const HttpReply::Stream stream = std::move(*std::exchange(stream_, std::nullopt));
  hall_.answering.erase(self);
  std::string rest = chunked_ ? "0\r\n\r\n" : "";
  if (after_out_ != nullptr) {  // the last piece is still on its way
    after_out_ = [this, rest = std::move(rest)] { Put(rest, [this] { Gone(); }); };
  } else {
    Put(std::move(rest), [this] { Gone(); });
  }
}

void HttpConnection::BreakOff() { Gone(); }
void HttpConnection::Leave() { Gone(); }

/// Writes all of it, each part in its time, and then goes on.
void HttpConnection::Put(std::string bytes, std::function<void()> then) {
  out_ = std::move(bytes);
  out_at_ = 0;
  after_out_ = std::move(then);
  PutMore();
}

void HttpConnection::PutMore() {
  const auto self = shared_from_this();
  if (out_at_ == out_.size()) {
    asio::post(socket_.get_executor(), [self] {
      if (auto then = std::exchange(self->after_out_, nullptr)) then();
    });
    return;
  }
  const size_t bytes = std::min(kPieceBytes, out_.size() - out_at_);
  socket_.next_layer().expires_after(kPieceTime);
  asio::async_write(socket_, asio::buffer(out_.data() + out_at_, bytes),
                    [self](beast::error_code error, size_t written) {
                      self->out_at_ += written;
                      if (error) {
                        self->Gone();
                      } else {
                        self->PutMore();
                      }
                    });
}

/// Hears of a client that leaves while a stream has nothing for it.
void HttpConnection::Watch() {
  if (buffer_.size() == buffer_.max_size()) return;
  socket_.next_layer().expires_never();
  socket_.async_read_some(buffer_.prepare(buffer_.max_size() - buffer_.size()),
                          [self = shared_from_this()](beast::error_code error, size_t bytes) {
                            if (error) {
                              self->Gone();
                              return;
                            }
                            self->buffer_.commit(bytes);
                            if (self->stream_) self->Watch();
                          });
}

void HttpConnection::Gone() {
  const auto self = shared_from_this();
  hall_.answering.erase(self);
  after_out_ = nullptr;
  beast::error_code ignored;
  auto& socket = socket_.next_layer().socket();
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  socket_.next_layer().close();
  if (!stream_) return;
  const HttpReply::Stream stream = std::move(*std::exchange(stream_, std::nullopt));
  if (stream.on_gone) stream.on_gone();
}

/// A close while the client still sends would take the answer away from it.
void HttpConnection::CloseGently() {
  socket_.next_layer().expires_after(kGoodbye);
  if (!socket_.secure()) {
    Discard();
    return;
  }
  // Says goodbye, and fails at once where the client has more to send: that goes unread, too.
  socket_.tls().async_shutdown([self = shared_from_this()](beast::error_code) { self->Discard(); });
}

void HttpConnection::Discard() {
  beast::error_code error;
  socket_.next_layer().socket().shutdown(tcp::socket::shutdown_send, error);
  if (!error) DiscardMore();
}

/// Bytes as they come over the wire, under TLS too.
void HttpConnection::DiscardMore() {
  buffer_.clear();
  socket_.next_layer().async_read_some(
      buffer_.prepare(kMaxHeadBytes),
      [self = shared_from_this()](beast::error_code error, size_t bytes) {
        self->discarded_ += bytes;
        if (!error && self->discarded_ < kMaxDiscarded) self->DiscardMore();
      });
}

}  // namespace lipcast::server
