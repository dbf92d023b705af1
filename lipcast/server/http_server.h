#pragma once

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "lipcast/base/metrics.h"
#include "lipcast/base/status.h"
#include "lipcast/server/access_control.h"
#include "lipcast/server/http_gate.h"
#include "lipcast/server/http_router.h"
#include "lipcast/server/http_socket.h"
#include "lipcast/server/secrets.h"

namespace lipcast::server {

using UpgradeRequest = boost::beast::http::request<boost::beast::http::empty_body>;
/// Takes over the connection of a WebSocket; `gate` is the way back to its thread, `peer` the
/// client's address.
using UpgradeHandler = std::function<void(HttpSocket socket, UpgradeRequest request,
                                          std::shared_ptr<HttpGate> gate, const std::string& peer)>;

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 0;  ///< 0: any free one
  OriginRules origins;
  uint64_t upload_bytes = uint64_t{512} << 20;
  const UploadFolder* uploads = nullptr;  ///< outlives the server
  HttpRouter router;
  std::map<std::string, UpgradeHandler> upgrades;  ///< WebSockets by path
  std::optional<TlsFiles> tls;                     ///< none: in the clear
  AccessControl* access = nullptr;                 ///< outlives the server; null: nobody is asked
  Metrics* metrics = nullptr;                      ///< outlives the server
};

/// HTTP/1.1 on one thread, one request at a time per connection, as HttpRouter's handlers answer
/// it. Who has to show a token does so by "Authorization: Bearer ..", on WebSockets and the routes
/// that say so also by "?token=", a session token. Limits: 1024 connections; 8 KiB of head, 10 s
/// for it; 30 s for each 256 KiB of a body, in or out; 30 s between requests.
class HttpServer {
 public:
  /// kUnavailable: "http 127.0.0.1:8080: address already in use".
  static Result<std::unique_ptr<HttpServer>> Listen(HttpServerOptions options);
  /// Streams that still run hear that they are gone; other answers are dropped.
  ~HttpServer();
  int port() const;
  /// For new connections. Only where there was TLS at the start.
  Status SetTls(const TlsFiles& files);

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lipcast::server
