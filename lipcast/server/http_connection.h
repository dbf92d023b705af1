#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "lipcast/base/executor.h"
#include "lipcast/server/http_gate.h"
#include "lipcast/server/http_server.h"

namespace lipcast::server {

class HttpConnection;

/// A reply whose words go to the connection's thread.
std::shared_ptr<HttpReply> MakeHttpReply(std::shared_ptr<HttpGate> gate,
                                         std::weak_ptr<HttpConnection> connection);

/// What the connections of a server share. On the HTTP thread.
struct HttpHall {
  HttpServerOptions options;
  std::shared_ptr<HttpGate> gate;
  std::shared_ptr<boost::asio::ssl::context> tls;       ///< null: plain
  std::unique_ptr<Executor> disk;                       ///< one thread that writes uploads
  std::set<std::shared_ptr<HttpConnection>> answering;  ///< those whose handler is not done
  std::shared_ptr<std::atomic<int>> connections = std::make_shared<std::atomic<int>>(0);
};

/// One client: reads a request, finds its handler, writes what that answers, reads the next.
/// On the HTTP thread; owns itself.
class HttpConnection final : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(HttpSocket socket, HttpHall& hall);

  void Start();
  void Leave();  ///< the server ends

  // From replies.
  void Send(HttpAnswer answer);
  void Begin(HttpAnswer head, HttpReply::Stream stream);
  void WritePiece(std::string piece);
  void End();
  void BreakOff();

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
  void WaitForNext();
  void ReadHead();
  void OnHead();
  void Upgrade(const UpgradeHandler& handler, const HttpTarget& target);
  Status CheckAccess(const HttpTarget& target, bool takes_session_token) const;
  Status AllowOpen() const;
  std::optional<HttpAnswer> Refused(const HttpTarget& target, const HttpRouter::Match& match) const;
  void StartBody(uint64_t limit);
  void ReadBody();
  void OnBody();
  bool TooLarge() const;
  void Dispatch();
  void Refuse(HttpAnswer answer);
  std::string HeadOf(const HttpAnswer& answer, std::optional<uint64_t> bytes);
  void Put(std::string bytes, std::function<void()> then);
  void PutMore();
  void Watch();
  void Gone();
  void CloseGently();
  void Discard();
  void DiscardMore();

  HttpSocket socket_;
  HttpHall& hall_;
  std::string peer_;
  boost::beast::flat_buffer buffer_;  // never above its limit
  std::optional<Parser> parser_;
  const HttpRoute* route_ = nullptr;
  std::string label_;  // of the request, for counting
  HttpCall call_;
  std::string piece_;  // of the body
  uint64_t body_limit_ = 0;
  bool head_only_ = false, keep_alive_ = false, chunked_ = false, any_origin_ = false;

  std::string out_;
  size_t out_at_ = 0;
  std::function<void()> after_out_;
  std::optional<HttpReply::Stream> stream_;
  uint64_t discarded_ = 0;
};

}  // namespace lipcast::server
