#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
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
  std::vector<std::string> origins;  ///< pages that may connect, beside the server's own

  // limits
  int64_t max_message_bytes = 100 << 20;
  int64_t max_upload_bytes = 512 << 20;
  int max_sessions = 0;                                  ///< 0: the measured headroom alone decides
  int max_file_sessions = 64;                            ///< at file pace; 0: any number
  int max_session_seconds = 0, max_idle_seconds = 3600;  ///< 0: no limit
  int opens_per_second = 100;        ///< sessions that one address may open; 0: no limit
  int wrong_tokens_per_minute = 30;  ///< that one address may show over HTTP; 0: no limit
  int queued_jobs = 100;             ///< renders and old clients' requests that wait for their turn
  int drain_seconds = 30;            ///< how long SIGTERM waits for running sessions

  // engine
  int workers = 0;  ///< 0: one a core
  std::string provider = "cpu", provider_policy = "require";
  int device = 0;
  int intra_threads = 1;

  // avatars
  std::vector<std::string> avatar_roots;  ///< folders of avatars; empty: where `render` looks too
  std::vector<std::string> preload{"demo"};
  bool preload_frames = false;
  int64_t frame_memory_mb = 512;  ///< decoded frames, for each avatar
  /// Image features, for each optimised avatar; none: automatic, shared by all.
  std::optional<int64_t> feature_cache_mb;
  std::string feature_precision = "half";
  std::string variant = "auto";    ///< which network draws; auto: each avatar's own choice
  int64_t model_memory_mb = 4096;  ///< of all loaded avatars; the least used go first
  int max_avatars = 16;
  std::string eviction = "lru";  ///< lru or lfu
  int avatar_idle_seconds = 0;   ///< unload after this long without a session; 0: never

  // renders
  std::string render_folder;  ///< of their sounds and files; empty: the system's temporary one
  int renders_running = 1;    ///< at a time
  int render_keep_seconds = 3600;
  int64_t render_disk_mb = 4096;

  // recordings
  int recordings_running = 8;  ///< at a time; 0: none
  int recording_max_seconds = 3600, recording_keep_seconds = 3600;
  int64_t recording_disk_mb = 4096;

  // output
  int jpeg_quality = 75;
  std::string compat_frames = "jpeg";  ///< jpeg or raw (BGR)

  // say
  std::vector<std::string> say_command{"auto"};  ///< see SayProgramOf

  // log
  std::string log_level = "info", log_format = "text";
  int log_flush_ms = 0;      ///< how long lines are gathered; 0: each leaves at once
  int log_debug_sample = 1;  ///< of each kind of debug line, every how manieth is written

  // trace
  std::string trace_file, trace_format = "chrome";  ///< an empty file: no traces
  int trace_every = 25;
  int64_t trace_mb = 64;

  /// Every value in its range, and the values fit each other. kInvalidArgument names the key.
  Status Validate() const;
};

/// One key of the configuration: how it is read, printed and explained.
struct ConfigKey {
  std::string name;  ///< "listen.grpc_port"
  std::string help;
  std::string wanted;  ///< "a whole number, 0..65535"
  std::function<Status(ServerConfig&, const std::vector<std::string>&)> set;
  std::function<std::vector<std::string>(const ServerConfig&)> get;
  std::optional<std::pair<int64_t, int64_t>> range;  ///< of a number, both ends included
  bool text = false;                                 ///< any text: quoted when printed
  bool list = false;
  bool reloads = false;  ///< SIGHUP takes it over
};

/// All keys, in the order they are printed. The one table behind file, environment and flags.
const std::vector<ConfigKey>& ConfigKeys();

/// Where a configuration comes from, the weakest first.
struct ConfigSources {
  std::optional<std::filesystem::path> file;
  std::map<std::string, std::string> environment;
  std::vector<std::pair<std::string, std::string>> flags;  ///< name of a key and its value
};

/// The defaults, overlaid by the sources, and valid as a whole.
Result<ServerConfig> ReadConfig(const ConfigSources& sources);

/// Reads a YAML file over `config`. Unknown keys, wrong types and values out of range are refused:
/// "lipcast.yaml: line 3: listen.grpc_prt: no such key, did you mean listen.grpc_port?". So is a
/// file that is not UTF-8 text, holds a second document or is over 1 MiB; an empty one is fine.
Status ReadConfigFile(const std::filesystem::path& path, ServerConfig* config);

/// Takes LIPCAST_LISTEN_GRPC_PORT and so on; lists are separated by commas. A name that begins like
/// a key's and is none (LIPCAST_LISTEN_GRPC_PRT) is refused; others are not ours.
Status ReadConfigEnvironment(const std::map<std::string, std::string>& environment,
                             ServerConfig* config);

/// A list is one word an item; every other key takes one word.
Status SetConfigWords(const std::string& name, const std::vector<std::string>& words,
                      ServerConfig* config);
/// The same from one text, where commas separate the items of a list.
Status SetConfigKey(const std::string& name, const std::string& value, ServerConfig* config);

/// The whole as YAML with comments; ReadConfigFile takes it back.
std::string PrintConfig(const ServerConfig& config);

/// Takes over what may change while the server runs. Returns the keys that differ and may not.
std::vector<std::string> TakeReloadable(const ServerConfig& fresh, ServerConfig* running);

}  // namespace lipcast::server
