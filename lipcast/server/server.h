#pragma once

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lipcast/base/log.h"
#include "lipcast/pipeline/engine.h"
#include "lipcast/server/frame_trace.h"
#include "lipcast/server/http_router.h"
#include "lipcast/server/prometheus_metrics.h"
#include "lipcast/server/server_config.h"

namespace lipcast::server {

/// What the command hands in; all of it outlives the server.
struct ServerParts {
  pipeline::Engine* engine = nullptr;
  PrometheusMetrics* metrics = nullptr;
  LogSink* log = nullptr;
  const Clock* clock = nullptr;
  FrameTrace* trace = nullptr;  ///< null: none
  std::vector<std::filesystem::path> avatar_roots;
  std::map<std::string, std::filesystem::path> named_avatars;  ///< as RegistryOptions::named
  std::string version, backend, h264_encoder;
  std::atomic<pid_t>* say_group = nullptr;  ///< see SayProgram; null: not told
};

/// The live server: avatars, admission, gRPC and HTTP on the ports of the configuration.
/// Thread: one caller; Start, then Drain or Stop.
class Server {
 public:
  /// Listens, and preloads. Errors are one line: which port, which file, and why.
  static Result<std::unique_ptr<Server>> Start(const ServerConfig& config,
                                               const ServerParts& parts);
  ~Server();  ///< Stop

  int grpc_port() const;
  int http_port() const;
  /// What it listens on, its avatars and its capacity, for people.
  std::string Greeting() const;

  /// Takes over what `fresh` changes and may, with the files that the running configuration names:
  /// tokens and certificates for new connections, limits for new sessions. Returns the keys that
  /// wait for a restart. On an error nothing has changed.
  Result<std::vector<std::string>> Reload(const ServerConfig& fresh);

  /// Not ready, no new session; true once the last one has ended.
  void BeginDrain();
  bool Drained() const;
  /// Each second or so: lets go of what nobody uses, and counts.
  void Tidy();

 private:
  struct State;
  static std::vector<HttpRoute> PagesOf(State& state);
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lipcast::server
