#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lipcast/base/status.h"
#include "lipcast/server/websocket_speech.h"

namespace lipcast::server {

struct HttpAnswer {
  int code = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

/// Answers GET and HEAD by path, and hands WebSockets of /v1/speak on. Requests are bounded (8 KiB
/// of header, no body), a connection that says nothing for 30 s is closed, and there are at most
/// 1024. Handlers run on the server's one thread and must not wait.
class HttpServer {
 public:
  using Handler = std::function<HttpAnswer()>;

  /// kUnavailable: "http 127.0.0.1:8080: address already in use". Port 0: any free one.
  static Result<std::unique_ptr<HttpServer>> Listen(const std::string& host, int port,
                                                    std::map<std::string, Handler> handlers,
                                                    SpeechHost& speech,
                                                    const WebSocketOptions& sockets);
  ~HttpServer();
  int port() const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lipcast::server
