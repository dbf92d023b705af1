#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lipcast/base/status.h"

namespace lipcast::server {

/// Everything `lipcast serve` can be told. A flag wins over the environment, the environment over
/// the file, the file over what stands here. docs/operations.md lists the keys; so does
/// --print-config.
struct ServerConfig {
  // listen
  std::string host = "127.0.0.1";
  int grpc_port = 50051;  ///< 0: any free one, printed
  int compat_port = 0;    ///< the old clients' port, beside grpc_port; 0: none
  int http_port = 8080;   ///< 0: any free one, printed
  bool insecure = false;  ///< may listen beyond loopback without TLS
  std::string tls_certificate, tls_key, tls_client_ca;  ///< PEM files; a client CA demands mTLS
  std::string tokens;  ///< a file of bearer tokens, one a line; empty: none are asked for

  // limits
  int64_t max_message_bytes = 100 << 20;
  int64_t max_upload_bytes = 512 << 20;
  int max_sessions = 0;                                  ///< 0: the measured headroom alone decides
  int max_session_seconds = 0, max_idle_seconds = 3600;  ///< 0: no limit
  int drain_seconds = 30;  ///< how long SIGTERM waits for running sessions

  // engine
  int workers = 0;  ///< 0: one a core
  std::string provider = "cpu", provider_policy = "require";
  int device = 0;

  // avatars
  std::vector<std::string> avatar_roots;  ///< folders of avatars; empty: where `render` looks too
  std::vector<std::string> preload{"demo"};
  int64_t frame_memory_mb = 512;   ///< decoded frames, for each avatar
  int64_t model_memory_mb = 4096;  ///< of all loaded avatars; the least used go first
  int max_avatars = 16;
  std::string eviction = "lru";  ///< lru or lfu
  int avatar_idle_seconds = 0;   ///< unload after this long without a session; 0: never

  // output
  int jpeg_quality = 75;
  std::string compat_frames = "jpeg";  ///< jpeg or raw (BGR)

  // log
  std::string log_level = "info", log_format = "text";

  /// Every value in its range, and the values fit each other. kInvalidArgument names the key.
  Status Validate() const;
};

/// One key of the configuration: how it is read, printed and explained.
struct ConfigKey {
  std::string name;  ///< "listen.grpc_port"
  std::string help;
  std::function<Status(ServerConfig&, const std::vector<std::string>&)> set;
  std::function<std::vector<std::string>(const ServerConfig&)> get;
  bool list = false;
  bool reloads = false;  ///< SIGHUP takes it over
};

/// All keys, in the order they are printed. The one table behind file, environment and flags.
const std::vector<ConfigKey>& ConfigKeys();

/// Reads a YAML file over `config`. Unknown keys, wrong types and values out of range are refused:
/// "lipcast.yaml: line 3: listen.grpc_prt: no such key, did you mean listen.grpc_port?".
Status ReadConfigFile(const std::filesystem::path& path, ServerConfig* config);

/// Takes LIPCAST_LISTEN_GRPC_PORT and so on; lists are separated by commas.
Status ReadConfigEnvironment(const std::map<std::string, std::string>& environment,
                             ServerConfig* config);

Status SetConfigKey(const std::string& name, const std::string& value, ServerConfig* config);

/// The whole as YAML with comments; ReadConfigFile takes it back.
std::string PrintConfig(const ServerConfig& config);

}  // namespace lipcast::server
