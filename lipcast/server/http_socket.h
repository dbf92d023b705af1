#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/websocket/teardown.hpp>
#include <memory>
#include <optional>
#include <utility>

namespace lipcast::server {

/// A connection to a client, with TLS or without, as Beast wants its streams: what reads and
/// writes it is compiled once.
class HttpSocket {
 public:
  using next_layer_type = boost::beast::tcp_stream;
  using executor_type = next_layer_type::executor_type;
  using Tls = boost::asio::ssl::stream<next_layer_type&>;

  /// `context` may go once this returns; `place` is held as long as the connection.
  HttpSocket(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context* context,
             std::shared_ptr<const void> place)
      : parts_(std::make_unique<Parts>(std::move(socket))), place_(std::move(place)) {
    if (context != nullptr) parts_->tls.emplace(parts_->tcp, *context);
  }

  bool secure() const { return parts_->tls.has_value(); }
  Tls& tls() { return *parts_->tls; }
  next_layer_type& next_layer() { return parts_->tcp; }
  const next_layer_type& next_layer() const { return parts_->tcp; }
  executor_type get_executor() { return parts_->tcp.get_executor(); }

  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::beast::error_code, size_t)>(
        [parts = parts_.get()](auto handler, const Buffers& into) {
          if (parts->tls) {
            parts->tls->async_read_some(into, std::move(handler));
          } else {
            parts->tcp.async_read_some(into, std::move(handler));
          }
        },
        token, buffers);
  }
  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::beast::error_code, size_t)>(
        [parts = parts_.get()](auto handler, const Buffers& from) {
          if (parts->tls) {
            parts->tls->async_write_some(from, std::move(handler));
          } else {
            parts->tcp.async_write_some(from, std::move(handler));
          }
        },
        token, buffers);
  }

  /// How a WebSocket ends it.
  template <typename Handler>
  friend void async_teardown(boost::beast::role_type role, HttpSocket& socket, Handler&& handler) {
    if (socket.secure()) {
      socket.tls().async_shutdown(std::forward<Handler>(handler));
    } else {
      using boost::beast::websocket::async_teardown;
      async_teardown(role, socket.next_layer().socket(), std::forward<Handler>(handler));
    }
  }

 private:
  struct Parts {
    explicit Parts(boost::asio::ip::tcp::socket socket) : tcp(std::move(socket)) {}
    next_layer_type tcp;
    std::optional<Tls> tls;
  };
  std::unique_ptr<Parts> parts_;  // tls refers to tcp
  std::shared_ptr<const void> place_;
};

}  // namespace lipcast::server
