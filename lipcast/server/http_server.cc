#include "lipcast/server/http_server.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <thread>
#include <utility>

namespace lipcast::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

constexpr int kMaxConnections = 1024;
constexpr auto kSilence = std::chrono::seconds(30);
constexpr uint32_t kMaxHeaderBytes = 8192;

/// What the connections share; on the one thread.
struct Hall {
  Hall(SpeechHost& speech, const WebSocketOptions& options) : host(speech), sockets(options) {}
  SpeechHost& host;
  const WebSocketOptions sockets;
  std::map<std::string, HttpServer::Handler> handlers;
  int connections = 0;
};

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Hall& hall) : stream_(std::move(socket)), hall_(hall) {
    ++hall_.connections;
  }
  ~Connection() { --hall_.connections; }

  void Read() {
    parser_.emplace();
    parser_->header_limit(kMaxHeaderBytes);
    parser_->body_limit(0);
    stream_.expires_after(kSilence);
    http::async_read(
        stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code error, size_t) {
          if (!error) {
            self->Answer(self->parser_->get());
          } else if (error == http::error::header_limit || error == http::error::body_limit) {
            self->Write({413, "text/plain", "the request is too large\n"}, false);
          } else if (error.category() == beast::error_code(http::error::bad_method).category() &&
                     error != http::error::end_of_stream) {
            self->Write({400, "text/plain", "not an HTTP request\n"}, false);
          }
        });
  }

 private:
  void Answer(http::request<http::empty_body> request) {
    if (beast::websocket::is_upgrade(request) && request.target() == "/v1/speak") {
      if (OriginAllowed(request[http::field::origin], request[http::field::host])) {
        SpeakOverWebSocket(std::move(stream_), std::move(request), hall_.host, hall_.sockets);
      } else {
        Write({403, "text/plain", "a page of another origin may not connect\n"}, false);
      }
      return;
    }
    head_ = request.method() == http::verb::head;
    if (request.method() != http::verb::get && !head_) {
      Write({405, "text/plain", "want GET or HEAD\n"}, false);
      return;
    }
    const std::string target(request.target());
    const auto handler = hall_.handlers.find(target.substr(0, target.find('?')));
    Write(handler == hall_.handlers.end() ? HttpAnswer{404, "text/plain", "no such page\n"}
                                          : handler->second(),
          request.keep_alive());
  }

  void Write(HttpAnswer answer, bool keep_alive) {
    response_ = {};
    response_.result(static_cast<unsigned>(answer.code));
    response_.set(http::field::content_type, answer.type);
    response_.set(http::field::cache_control, "no-store");
    response_.set("X-Content-Type-Options", "nosniff");
    response_.keep_alive(keep_alive);
    const size_t size = answer.body.size();
    if (!head_) response_.body() = std::move(answer.body);
    response_.content_length(size);
    http::async_write(stream_, response_,
                      [self = shared_from_this(), keep_alive](beast::error_code error, size_t) {
                        if (error) return;
                        if (keep_alive) {
                          self->Read();
                        } else {
                          self->stream_.socket().shutdown(tcp::socket::shutdown_send, error);
                        }
                      });
  }

  beast::tcp_stream stream_;
  Hall& hall_;
  beast::flat_buffer buffer_{2 * kMaxHeaderBytes};
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> response_;
  bool head_ = false;
};

}  // namespace

struct HttpServer::State {
  State(SpeechHost& host, const WebSocketOptions& sockets) : hall(host, sockets) {}
  Hall hall;  // before io: connections that io still holds count down in it
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  std::thread thread;

  void Accept() {
    acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (!acceptor.is_open()) return;
      if (!error && hall.connections < kMaxConnections) {
        std::make_shared<Connection>(std::move(socket), hall)->Read();
      }
      Accept();
    });
  }
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(const std::string& host, int port,
                                                       std::map<std::string, Handler> handlers,
                                                       SpeechHost& speech,
                                                       const WebSocketOptions& sockets) {
  auto state = std::make_unique<State>(speech, sockets);
  state->hall.handlers = std::move(handlers);
  beast::error_code error;
  const auto fail = [&] {
    return Status(Code::kUnavailable,
                  "http " + host + ":" + std::to_string(port) + ": " + error.message());
  };
  tcp::resolver resolver(state->io);
  const auto found = resolver.resolve(host, std::to_string(port), error);
  if (error) return fail();
  const tcp::endpoint endpoint = found.begin()->endpoint();
  state->acceptor.open(endpoint.protocol(), error);
  if (!error) state->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) state->acceptor.bind(endpoint, error);
  if (!error) state->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail();
  state->Accept();
  state->thread = std::thread([io = &state->io] { io->run(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::~HttpServer() {
  state_->io.stop();
  state_->thread.join();
}

int HttpServer::port() const { return state_->acceptor.local_endpoint().port(); }

}  // namespace lipcast::server
