#include "lipcast/server/http_server.h"

#include <netinet/tcp.h>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/error.hpp>

#include <thread>
#include <utility>

#include "lipcast/server/http_connection.h"

namespace lipcast::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;

constexpr int kMaxUnsentBytes = 256 << 10;
constexpr int kMaxConnections = 1024;
constexpr auto kAfterFailure = std::chrono::milliseconds(100);  // out of descriptors, mostly

Result<std::shared_ptr<asio::ssl::context>> ContextOf(const TlsFiles& files) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  beast::error_code error;
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(context->native_handle(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  context->use_certificate_chain(asio::buffer(files.certificate_chain), error);
  if (!error) context->use_private_key(asio::buffer(files.key), asio::ssl::context::pem, error);
  if (!error && !files.client_ca.empty()) {
    context->add_certificate_authority(asio::buffer(files.client_ca), error);
    if (!error) {
      context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert,
                               error);
    }
  }
  if (error) return Status(Code::kInvalidArgument, "listen.tls_certificate: " + error.message());
  return context;
}

}  // namespace

struct HttpServer::State {
  HttpHall hall;  // before io, which holds connections that refer to it
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  asio::steady_timer pause{io};
  std::thread thread;

  void Accept() {
    acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (!acceptor.is_open()) return;
      if (error) {
        pause.expires_after(kAfterFailure);
        pause.async_wait([this](beast::error_code stopped) {
          if (!stopped) Accept();
        });
        return;
      }
      if (*hall.connections < kMaxConnections) {
        beast::error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        // What waits for a slow client waits with us, where a late picture can be left out.
        const int unsent_bytes = kMaxUnsentBytes;
        ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes,
                     sizeof unsent_bytes);
        ++*hall.connections;
        std::shared_ptr<const void> place(nullptr, [count = hall.connections](auto) { --*count; });
        std::make_shared<HttpConnection>(
            HttpSocket(std::move(socket), hall.tls.get(), std::move(place)), hall)
            ->Start();
      }
      Accept();
    });
  }

  void Run() {
    while (true) {
      try {
        io.run();
        return;
      } catch (const std::exception&) {  // a handler's; its connection went with it
        if (hall.options.metrics != nullptr) {
          hall.options.metrics->Count("escaped_exceptions_total", 1);
        }
      }
    }
  }
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(HttpServerOptions options) {
  LC_ENSURE(options.uploads != nullptr);
  auto state = std::make_unique<State>();
  const std::string host = options.host;
  const std::string port = std::to_string(options.port);
  if (options.tls) {
    LC_ASSIGN_OR_RETURN(state->hall.tls, ContextOf(*options.tls));
  }
  state->hall.options = std::move(options);
  state->hall.gate = std::make_shared<HttpGate>(state->io);
  state->hall.disk = std::make_unique<Executor>(1);
  beast::error_code error;
  const auto fail = [&] {
    return Status(Code::kUnavailable, "http " + host + ":" + port + ": " + error.message());
  };
  tcp::resolver resolver(state->io);
  const auto found = resolver.resolve(host, port, error);
  if (error) return fail();
  const tcp::endpoint endpoint = found.begin()->endpoint();
  state->acceptor.open(endpoint.protocol(), error);
  if (!error) state->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) state->acceptor.bind(endpoint, error);
  if (!error) state->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail();
  state->Accept();
  state->thread = std::thread([raw = state.get()] { raw->Run(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::~HttpServer() {
  State& state = *state_;
  asio::post(state.io, [&state] {
    const auto answering = state.hall.answering;
    for (const auto& connection : answering) connection->Leave();
    state.io.stop();
  });
  state.thread.join();
  state.hall.gate->Close();  // replies drop from here on
  state.hall.disk.reset();
  state.hall.answering.clear();
}

Status HttpServer::SetTls(const TlsFiles& files) {
  LC_ASSIGN_OR_RETURN(auto context, ContextOf(files));
  asio::post(state_->io, [raw = state_.get(), context = std::move(context)]() mutable {
    raw->hall.tls = std::move(context);
  });
  return {};
}

int HttpServer::port() const { return state_->acceptor.local_endpoint().port(); }

}  // namespace lipcast::server
