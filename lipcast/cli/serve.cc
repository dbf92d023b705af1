#include "lipcast/cli/serve.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <ranges>
#include <thread>

#include "lipcast/avatar/find_avatar.h"
#include "lipcast/avatar/package_path.h"
#include "lipcast/cli/exit_codes.h"
#include "lipcast/cli/failure.h"
#include "lipcast/cli/interrupt.h"
#include "lipcast/cli/workplace.h"
#include "lipcast/media/encoder_info.h"
#include "lipcast/server/http_target.h"
#include "lipcast/server/secrets.h"
#include "lipcast/server/server.h"
#include "lipcast/server/server_config.h"
#include "lipcast/server/stream_log_sink.h"
#include "lipcast/server/text_to_speech.h"

extern char** environ;

namespace lipcast::cli {
namespace {

/// Flags of their own for what is often set; --set reaches every key.
constexpr struct {
  const char* flag;
  const char* key;
  const char* help;
} kFlags[] = {
    {"--host", "listen.host", "Address to listen on (default 127.0.0.1)"},
    {"--port", "listen.grpc_port", "gRPC port; 0: any free one (default 50051)"},
    {"--http-port", "listen.http_port", "HTTP port; 0: any free one (default 8080)"},
    {"--compat-port", "listen.compat_port", "Port for clients of monolithic.MonolithicService"},
    {"--avatars", "avatars.roots", "Folders of avatars, separated by commas"},
    {"--preload", "avatars.preload", "Avatars loaded at the start (default demo)"},
    {"--workers", "engine.workers", "Worker threads; 0: one a core"},
    {"--feature-cache-mb", "avatars.feature_cache_mb",
     "Memory of each optimised avatar for what its network keeps of its frames; 0: none; auto: "
     "what all need, up to half of the free memory"},
    {"--variant", "avatars.variant",
     "Which of an avatar's networks draws: auto, full, split or int8"},
    {"--provider", "engine.provider", "What runs the networks: cpu or cuda"},
    {"--max-sessions", "limits.sessions", "Live sessions; 0: the measured headroom decides"},
    {"--log-level", "log.level", "debug, info, warning or error"},
    {"--log-format", "log.format", "text or json"},
};

struct ServeArgs {
  std::string config;
  std::vector<std::string> avatars, sets;
  std::string values[std::size(kFlags)];
  bool insecure = false, print_config = false, check_config = false, demo_url = false;
};

/// Taken back in one step: a wish that comes between a look and a reset would be lost.
std::atomic<bool> g_reload_asked{false};

/// Tells systemd, if it started us: sd_notify(3) without the library.
void NotifySystemd(const char* message) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  ::sendto(fd, message, std::strlen(message), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address), size);
  ::close(fd);
}

/// A connection is a descriptor, and the usual 1024 are soon gone.
void AllowManyConnections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 65'536);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<server::ConfigSources> SourcesOf(const ServeArgs& args) {
  server::ConfigSources sources;
  if (!args.config.empty()) sources.file = args.config;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) {
      sources.environment[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  for (size_t i = 0; i < std::size(kFlags); ++i) {
    if (!args.values[i].empty()) sources.flags.emplace_back(kFlags[i].key, args.values[i]);
  }
  if (args.insecure) sources.flags.emplace_back("listen.insecure", "true");
  for (const std::string& set : args.sets) {
    const size_t equals = set.find('=');
    if (equals == std::string::npos) {
      return Status(Code::kInvalidArgument, "--set " + set + ": want KEY=VALUE");
    }
    sources.flags.emplace_back(set.substr(0, equals), set.substr(equals + 1));
  }
  return sources;
}

std::vector<std::filesystem::path> RootsOf(const server::ServerConfig& config) {
  if (config.avatar_roots.empty()) return AvatarRoots();
  return {config.avatar_roots.begin(), config.avatar_roots.end()};
}

/// Where the avatars of --avatar are, by the name that clients have for each.
Result<std::map<std::string, std::filesystem::path>> FindShown(
    const std::vector<std::string>& wanted, const std::vector<std::filesystem::path>& roots) {
  std::map<std::string, std::filesystem::path> shown;
  for (const std::string& one : wanted) {
    LC_ASSIGN_OR_RETURN(auto path, avatar::FindAvatar(one, roots));
    path = std::filesystem::absolute(path).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();  // it ended in a '/'
    const std::string name = avatar::AvatarName(path);
    const auto [at, is_new] = shown.emplace(name, path);
    if (!is_new && at->second != path) {
      return Status(Code::kInvalidArgument,
                    fmt::format("--avatar {}: there is another '{}', {}; want one of each name",
                                one, name, avatar::Utf8FromPath(at->second)));
    }
    if (name.find(',') != std::string::npos) {
      return Status(Code::kInvalidArgument,
                    fmt::format("--avatar {}: want a name without a comma", one));
    }
  }
  return shown;
}

LogLevel LevelOf(const std::string& name) {
  for (const LogLevel level : {LogLevel::kDebug, LogLevel::kWarning, LogLevel::kError}) {
    if (name == LogLevelName(level)) return level;
  }
  return LogLevel::kInfo;
}

void Reload(const server::ConfigSources& sources, server::Server& server,
            server::StreamLogSink& log) {
  const auto fresh = server::ReadConfig(sources);
  const auto left = fresh.ok() ? server.Reload(*fresh) : fresh.status();
  if (!left.ok()) {
    log.Log(LogLevel::kError, "config_not_reloaded", {{"why", left.status().message()}});
    return;
  }
  for (const std::string& key : *left) {
    log.Log(LogLevel::kWarning, "config_needs_restart", {{"key", key}});
  }
  log.set_least(LevelOf(fresh->log_level));
  log.Log(LogLevel::kInfo, "config_reloaded", {});
}

/// A link to the page that says a sentence: web/deep_link.js. Every address is on this machine,
/// too.
std::string DemoUrl(const server::ServerConfig& config, int port) {
  const bool any = config.host == "0.0.0.0" || config.host == "::";
  return fmt::format("{}://{}:{}/?say=Good%20morning%2C%20and%20welcome%20to%20lipcast.",
                     config.tls_certificate.empty() ? "http" : "https",
                     any ? "localhost" : server::HostInAddress(config.host), port);
}

int Serve(const ServeArgs& args) {
  // Before all else: one that comes while avatars load is answered after, instead of the end.
  std::signal(SIGHUP, [](int) { g_reload_asked.store(true); });
  auto sources = SourcesOf(args);
  if (!sources.ok()) return Fail(kExitUsage, sources.status());
  auto config = server::ReadConfig(*sources);
  if (!config.ok()) return Fail(kExitUsage, config.status());
  const auto roots = RootsOf(*config);
  auto shown = FindShown(args.avatars, roots);
  if (!shown.ok()) return Fail(InputExit(shown.status()), shown.status());
  if (!shown->empty()) {  // among the flags, where a reload finds it again
    sources->flags.emplace_back("avatars.preload",
                                fmt::format("{}", fmt::join(*shown | std::views::keys, ",")));
    config = server::ReadConfig(*sources);
    if (!config.ok()) return Fail(kExitUsage, config.status());
  }
  if (args.print_config) {
    fmt::print("{}", server::PrintConfig(*config));
    return kExitOk;
  }
  const auto speaks = server::SayProgramOf(config->say_command);
  if (!speaks.ok()) return Fail(kExitUsage, speaks.status());
  if (args.check_config) {
    const auto secrets = server::ReadSecrets(*config);
    if (!secrets.ok()) return Fail(kExitUsage, secrets.status());
    for (const std::string& warning : secrets->warnings) fmt::print("warning: {}\n", warning);
    fmt::print("the configuration is good\n");
    return kExitOk;
  }

  if (args.demo_url && !*speaks) {
    return Fail(kExitUnavailable,
                Status(Code::kUnavailable, "--demo-url: say.command: no program that speaks text"));
  }

  AllowManyConnections();
  server::StreamLogOptions log_options;
  log_options.least = LevelOf(config->log_level);
  log_options.json = config->log_format == "json";
  log_options.flush = std::chrono::milliseconds(config->log_flush_ms);
  log_options.debug_sample = config->log_debug_sample;
  server::StreamLogSink log(STDERR_FILENO, log_options);
  server::PrometheusMetrics metrics;
  const SteadyClock clock;
  std::unique_ptr<server::FrameTrace> trace;
  if (!config->trace_file.empty()) {
    auto opened = server::FrameTrace::Open(
        {config->trace_file,
         config->trace_format == "otlp" ? server::TraceFormat::kOtlp : server::TraceFormat::kChrome,
         config->trace_every, config->trace_mb << 20});
    if (!opened.ok()) return Fail(kExitUsage, opened.status());
    trace = *std::move(opened);
  }

  const auto backend = inference::LoadOnnxRuntime();
  if (!backend.ok()) return Fail(kExitUnavailable, backend.status());
  pipeline::EngineOptions options;
  options.workers = config->workers;
  options.avatar.networks_when_read = true;
  options.avatar.frame_budget_bytes = config->frame_memory_mb << 20;
  const auto precision = generator::ParseFeaturePrecision(config->feature_precision);
  if (!precision.ok()) return Fail(kExitUsage, precision.status());
  options.features.precision = *precision;
  // model_memory_mb counts features too: an automatic budget leaves half of it to the rest.
  generator::SetBudget(config->feature_cache_mb, config->model_memory_mb << 19, &options.features);
  options.variant = avatar::ParseVariant(config->variant);
  const auto provider = inference::ParseProvider(config->provider);
  if (!provider.ok()) return Fail(kExitUsage, provider.status());
  options.inference.provider = *provider;
  options.inference.policy = config->provider_policy == "prefer"
                                 ? inference::ProviderPolicy::kPrefer
                                 : inference::ProviderPolicy::kRequire;
  options.inference.device = config->device;
  options.inference.intra_threads = config->intra_threads;
  auto engine = MakeEngine(options, **backend, log, metrics, clock);
  if (!engine.ok()) return Fail(kExitFailure, engine.status());

  server::ServerParts parts;
  parts.engine = engine->get();
  parts.metrics = &metrics;
  parts.log = &log;
  parts.clock = &clock;
  parts.trace = trace.get();
  parts.say_group = &GroupThatEndsToo();
  parts.avatar_roots = roots;
  parts.named_avatars = *std::move(shown);
  parts.version = LIPCAST_VERSION;
  parts.backend = (*backend)->description();
  const auto h264 = media::FindEncoders().h264_encoders;
  if (!h264.empty()) parts.h264_encoder = h264.front();
  auto server = server::Server::Start(*config, parts);
  if (!server.ok()) return Fail(InputExit(server.status()), server.status());
  fmt::print("{}", (*server)->Greeting());
  if (args.demo_url) fmt::print("demo  {}\n", DemoUrl(*config, (*server)->http_port()));
  std::fflush(stdout);
  NotifySystemd("READY=1");

  auto tidied = clock.Now();
  while (!Interrupted()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (g_reload_asked.exchange(false)) Reload(*sources, **server, log);
    if (clock.Now() - tidied > std::chrono::seconds(1)) {
      (*server)->Tidy();
      tidied = clock.Now();
    }
  }
  NotifySystemd("STOPPING=1");
  log.Log(LogLevel::kInfo, "draining", {{"limit_s", std::to_string(config->drain_seconds)}});
  (*server)->BeginDrain();
  const auto limit = clock.Now() + std::chrono::seconds(config->drain_seconds);
  while (!(*server)->Drained() && clock.Now() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  server->reset();
  log.Log(LogLevel::kInfo, "stopped", {});
  return kExitOk;
}

}  // namespace

void AddServe(CLI::App& app, int& exit_code) {
  const auto args = std::make_shared<ServeArgs>();
  CLI::App* serve = app.add_subcommand("serve", "The live server: gRPC and HTTP");
  serve
      ->add_option(
          "-a,--avatar", args->avatars,
          "An avatar loaded at the start, alone or with others: a name, a folder or a .zip")
      ->allow_extra_args(false);
  serve->add_option("--config", args->config, "YAML file; --print-config shows every key");
  for (size_t i = 0; i < std::size(kFlags); ++i) {
    serve->add_option(kFlags[i].flag, args->values[i], kFlags[i].help);
  }
  serve->get_option("--preload")->excludes("--avatar");
  serve->add_flag("--insecure", args->insecure, "Listen beyond loopback without TLS");
  serve
      ->add_option("--set", args->sets,
                   "KEY=VALUE of any key of the configuration, again and again")
      ->allow_extra_args(false);
  serve->add_flag("--demo-url", args->demo_url, "Print a link to the page that says a sentence");
  serve->add_flag("--print-config", args->print_config, "Print the whole configuration and end");
  serve->add_flag("--check-config", args->check_config,
                  "Check the configuration, its tokens and certificates, and end");
  serve->callback([args, &exit_code] { exit_code = Serve(*args); });
}

}  // namespace lipcast::cli
