#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lipcast/base/executor.h"
#include "lipcast/base/status.h"
#include "lipcast/server/http_target.h"
#include "lipcast/server/upload_file.h"

namespace lipcast::server {

/// How handlers are written. A handler runs on the server's one HTTP thread and must not wait; it
/// is called once the whole body is there, and answers by its HttpReply, at once or later from any
/// thread:
///   at once        AnswerAtOnce([](const HttpCall& call) { return JsonAnswer(..); })
///   on a thread    AnswerLater(host.slow(), [](const HttpCall& call) -> Result<HttpAnswer> {..})
///   as a stream    [](HttpCall call, std::shared_ptr<HttpReply> reply) { reply->Begin(..); .. }
/// What is wrong with a request before that (no such path, method, type, size, token) is answered
/// by the server.

/// A request that fits its route.
struct HttpCall {
  std::string method;  ///< a HEAD comes as GET; its answer goes without the body
  HttpTarget target;
  std::map<std::string, std::string> path;  ///< the {name}s of the pattern, decoded, never empty
  std::map<std::string, std::string, std::less<>> headers;  ///< names in small letters
  std::string peer;                                         ///< the client's address, no port
  Status access;                                            ///< of a route that `tells_access`
  std::string body;                                         ///< of a kJson route
  std::shared_ptr<UploadFile> file;  ///< of a kFile route: gone when the last holder drops it
};

struct HttpAnswer {
  int code = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// The answer to one request. Exactly one of Send and Begin is called, once. A reply that is
/// dropped before answers 500; a stream that is dropped before End is broken off, which a client
/// can tell from its end. Thread: any, one at a time. It may outlive the server.
class HttpReply {
 public:
  HttpReply() = default;
  virtual ~HttpReply() = default;
  HttpReply(const HttpReply&) = delete;
  HttpReply& operator=(const HttpReply&) = delete;

  virtual void Send(HttpAnswer answer) = 0;

  struct Stream {
    std::optional<uint64_t> bytes;  ///< the length of it all, if known; else it is chunked
    /// The head, or a piece, is with the socket: now Write the next. On the HTTP thread.
    std::function<void()> on_written;
    /// The client left, or the server ends: nothing more is called or taken. On the HTTP thread.
    std::function<void()> on_gone;
  };
  /// Sends code, type and headers of `head`; its body is ignored. Both functions of the stream are
  /// dropped after End or on_gone, so they may hold what holds this reply. After HEAD: on_gone.
  virtual void Begin(HttpAnswer head, Stream stream) = 0;
  /// At most one piece at a time: before on_written has come for the last one it breaks the stream
  /// off, for memory that grows is the client's to command.
  virtual void Write(std::string piece) = 0;
  virtual void End() = 0;
};

using HttpHandler = std::function<void(HttpCall call, std::shared_ptr<HttpReply> reply)>;

HttpHandler AnswerAtOnce(std::function<HttpAnswer(const HttpCall&)> answer);
/// `slow` must outlive the server.
HttpHandler AnswerLater(Executor& slow, std::function<Result<HttpAnswer>(const HttpCall&)> answer);

/// {"code": "NOT_FOUND", "message": "..."} with the HTTP code of the status, or with `http_code`.
HttpAnswer FailureAnswer(const Status& status, int http_code = 0);
int HttpCodeOf(Code code);
HttpAnswer JsonAnswer(std::string json, int code = 200);

enum class HttpBody {
  kNone,  ///< any is refused with 413
  kJson,  ///< application/json of at most 64 KiB, into memory; may be missing
  kFile,  ///< of at most limits.upload_bytes, into a file of the server's; 411 where it is missing
};

struct HttpRoute {
  std::string method;   ///< "GET", "POST", ..
  std::string pattern;  ///< "/v1/avatars/{name}/load"
  HttpHandler handler;
  HttpBody body = HttpBody::kNone;
  std::vector<std::string> query = {};  ///< names it takes; others are refused
  std::vector<std::string> types = {};  ///< of a kFile body: "audio/wav", "audio/*"; none: all
  bool open = false;                    ///< also without a token, where tokens are asked for
  bool any_origin = false;              ///< pages of every origin may ask it and read the answer
  bool tells_access = false;            ///< its call says what others would be refused with
  bool session_token = false;  ///< takes ?token=, for <img> and <video>, which cannot set headers
  bool opens_session = false;  ///< counts against limits.opens_per_second
};

/// Which route a request takes. Thread: Add first, then any.
class HttpRouter {
 public:
  /// kInvalidArgument for a pattern that is none, kAlreadyExists for one that is taken.
  Status Add(HttpRoute route);
  Status Add(std::vector<HttpRoute> routes);

  struct Match {
    const HttpRoute* route = nullptr;
    std::map<std::string, std::string> path;
    std::string allow;        ///< "GET, HEAD, OPTIONS" where the path is known
    bool any_origin = false;  ///< of a route of the path
  };
  /// A known path without a route for the method has only `allow`; an unknown one nothing.
  /// A step written out wins over a {name}.
  Match Find(const std::string& method, const HttpTarget& target) const;

 private:
  struct Entry {
    std::vector<std::string> steps;
    bool folder = false;
    HttpRoute route;
  };
  std::vector<Entry> entries_;
};

/// 400 for a parameter that the route does not take, 415 for a type it does not.
std::optional<HttpAnswer> RefuseCall(const HttpRoute& route, const HttpTarget& target,
                                     std::string_view content_type, bool has_body);

inline constexpr uint64_t kMaxJsonBytes = 64 << 10;
inline constexpr const char* kTokenParameter = "token";  ///< of a session token; never a handler's

}  // namespace lipcast::server
