#include "lipcast/server/server.h"

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <utility>

#include "lipcast/server/grpc_avatar_health.h"
#include "lipcast/server/grpc_avatars_service.h"
#include "lipcast/server/grpc_compat_service.h"
#include "lipcast/server/grpc_credentials.h"
#include "lipcast/server/grpc_request_counter.h"
#include "lipcast/server/grpc_speech_service.h"
#include "lipcast/server/http_server.h"
#include "lipcast/server/http_target.h"
#include "lipcast/server/recent_log.h"
#include "lipcast/server/recordings.h"
#include "lipcast/server/refusal.h"
#include "lipcast/server/rest_api.h"
#include "lipcast/server/rest_live_sessions.h"
#include "lipcast/server/rest_log.h"
#include "lipcast/server/rest_recordings.h"
#include "lipcast/server/rest_renders.h"
#include "lipcast/server/rest_say.h"
#include "lipcast/server/rest_sessions.h"
#include "lipcast/server/secrets.h"
#include "lipcast/server/speech_host.h"
#include "lipcast/server/web_page.h"
#include "lipcast/server/websocket_speech.h"

namespace lipcast::server {
namespace {

constexpr auto kGoodbye = std::chrono::seconds(2);
constexpr const char* kServices[] = {"", "lipcast.v1.Speech", "lipcast.v1.Avatars",
                                     "lipcast.v1.Server", "monolithic.MonolithicService"};

RegistryOptions RegistryOptionsOf(const ServerConfig& config, const ServerParts& parts,
                                  GrpcAvatarHealth& health) {
  RegistryOptions options;
  options.roots = parts.avatar_roots;
  options.named = parts.named_avatars;
  options.memory_bytes = config.model_memory_mb << 20;
  options.max_loaded = config.max_avatars;
  options.eviction =
      config.eviction == "lfu" ? Eviction::kLeastFrequentlyUsed : Eviction::kLeastRecentlyUsed;
  options.idle_timeout = std::chrono::seconds(config.avatar_idle_seconds);
  options.preload_frames = config.preload_frames;
  options.provider = config.provider;
  options.on_change = [&health](const std::string& name) { health.Changed(name); };
  return options;
}

RenderJobsOptions RenderOptionsOf(const ServerConfig& config, int workers) {
  RenderJobsOptions options;
  options.folder = config.render_folder;
  options.queued = config.queued_jobs;
  options.running = config.renders_running;
  options.keep = std::chrono::seconds(config.render_keep_seconds);
  options.disk_bytes = config.render_disk_mb << 20;
  options.encoder_threads = workers;  // as the command has it, for the same bytes
  return options;
}

RecordingsOptions RecordingOptionsOf(const ServerConfig& config) {
  RecordingsOptions options;
  options.folder = config.render_folder;
  options.running = config.recordings_running;
  options.length = std::chrono::seconds(config.recording_max_seconds);
  options.keep = std::chrono::seconds(config.recording_keep_seconds);
  options.disk_bytes = config.recording_disk_mb << 20;
  return options;
}

AccessControl::Limits AccessLimitsOf(const ServerConfig& config) {
  return {config.opens_per_second, config.wrong_tokens_per_minute};
}

}  // namespace

struct Server::State {
  State(const ServerConfig& settings, const ServerParts& given)
      : config(settings),
        recent(*given.log),
        parts(given),
        registry(
            RegistryOptionsOf(settings, given, health),
            [engine = given.engine](const std::filesystem::path& path) {
              return engine->LoadAvatar(path);
            },
            *given.clock, recent, *given.metrics),
        admission({given.engine->workers(), settings.max_sessions}, *given.metrics),
        host({given.engine, &registry, &admission, given.metrics, &recent, given.clock,
              std::chrono::seconds(settings.max_session_seconds),
              std::chrono::seconds(settings.max_idle_seconds), given.trace,
              settings.max_file_sessions, settings.max_message_bytes}),
        access(AccessLimitsOf(settings), *given.clock, *given.metrics),
        speech(host, access, settings.jpeg_quality, renders),
        avatars(host),
        compat(host, {settings.jpeg_quality, settings.compat_frames == "raw", settings.max_avatars,
                      settings.queued_jobs, settings.provider == "cuda" ? settings.device : -1}),
        facts{given.version, given.backend, given.h264_encoder, given.clock->Now(),
              settings.max_upload_bytes},
        info(host, facts) {
    parts.log = &recent;
  }

  void Sample();

  ServerConfig config;
  RecentLog recent;
  ServerParts parts;  // its log is `recent`
  GrpcAvatarHealth health;
  AvatarRegistry registry;
  Admission admission;
  std::unique_ptr<RenderJobs> jobs;        // before host: its slow threads use them
  std::unique_ptr<Recordings> recordings;  // before host: its streams tell them of their end
  RenderPlace renders;
  SpeechHost host;
  AccessControl access;
  TlsSource tls;
  std::vector<std::shared_ptr<grpc::ServerCredentials>> credentials;  // gRPC keeps none of them
  GrpcSpeechService speech;
  GrpcAvatarsService avatars;
  GrpcCompatService compat;
  const ServerFacts facts;
  GrpcServerService info;
  std::unique_ptr<grpc::Server> grpc;
  int grpc_port = 0;
  std::stop_source say_stop;
  Executor say{1};  // a thread that waits for the program that speaks text
  std::unique_ptr<HttpServer> http;
  std::vector<std::string> loaded;
};

/// What HTTP serves beside the WebSockets.
std::vector<HttpRoute> Server::PagesOf(State& state) {
  const auto page = [](std::string path, bool open, std::function<HttpAnswer()> answer) {
    HttpRoute route{"GET", std::move(path),
                    AnswerAtOnce([answer = std::move(answer)](const auto&) { return answer(); })};
    route.open = open;
    return route;
  };
  HttpRoute tokens{
      "POST", "/v1/session-tokens", AnswerAtOnce([&state](const HttpCall&) {
        const auto token = state.access.IssueSessionToken();
        if (!token.ok()) return FailureAnswer(token.status());
        return JsonAnswer(fmt::format("{{\"token\": \"{}\", \"expiresInSeconds\": {}}}\n", *token,
                                      AccessControl::kSessionTokenLife.count()));
      }),
      HttpBody::kJson};
  // 200 whatever it says: a page that asks here first leaves no refusal in its browser's console.
  HttpRoute access{"GET", "/v1/access", AnswerAtOnce([](const HttpCall& call) {
                     nlohmann::json answer = {{"granted", call.access.ok()}};
                     if (!call.access.ok()) {
                       answer["reason"] = refusal::ReasonOf(call.access);
                       answer["message"] = call.access.message();
                     }
                     return JsonAnswer(answer.dump() + "\n");
                   })};
  access.open = access.any_origin = access.tells_access = true;
  return {
      page("/healthz", true,
           [] {
             return HttpAnswer{200, "text/plain", "ok\n", {}};
           }),
      page("/readyz", true,
           [&state] {
             return state.admission.draining() ? HttpAnswer{503, "text/plain", "draining\n", {}}
                                               : HttpAnswer{200, "text/plain", "ready\n", {}};
           }),
      std::move(tokens), std::move(access), page("/metrics", false, [&state] {
        state.Sample();
        return HttpAnswer{
            200, std::string(PrometheusMetrics::kContentType), state.parts.metrics->Render(), {}};
      })};
}

void Server::State::Sample() {
  Metrics& metrics = *parts.metrics;
  host.records().Sample();
  registry.Sample();
  metrics.Gauge("workers", parts.engine->workers());
  metrics.Gauge("queue_depth{queue=\"workers\"}",
                static_cast<double>(parts.engine->executor().queued()));
  metrics.Gauge("queue_depth{queue=\"slow\"}", static_cast<double>(host.slow().queued()));
  metrics.Gauge("queue_depth{queue=\"loads\"}", static_cast<double>(host.loading().queued()));
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  // After the name in brackets: the state is field 3, the threads 20, the resident pages 24.
  std::istringstream words(line.substr(line.rfind(')') + 1));
  const std::vector<std::string> field{std::istream_iterator<std::string>(words), {}};
  if (field.size() > 21) {
    metrics.Gauge("threads", std::strtod(field[17].c_str(), nullptr));
    metrics.Gauge("resident_memory_bytes", std::strtod(field[21].c_str(), nullptr) *
                                               static_cast<double>(::sysconf(_SC_PAGESIZE)));
  }
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Server>> Server::Start(const ServerConfig& config,
                                              const ServerParts& parts) {
  LC_RETURN_IF_ERROR(config.Validate());
  LC_ASSIGN_OR_RETURN(Secrets secrets, ReadSecrets(config));
  auto state = std::make_unique<State>(config, parts);
  state->access.SetTokens(std::move(secrets.tokens));
  for (const std::string& warning : secrets.warnings) {
    state->recent.Log(LogLevel::kWarning, "security", {{"what", warning}});
  }
  parts.metrics->Announce();
  LC_ASSIGN_OR_RETURN(state->jobs,
                      RenderJobs::Create(RenderOptionsOf(config, parts.engine->workers()),
                                         {parts.engine, &state->registry, parts.metrics,
                                          &state->recent, parts.clock}));
  LC_ASSIGN_OR_RETURN(
      state->recordings,
      Recordings::Create(RecordingOptionsOf(config), {parts.metrics, &state->recent, parts.clock}));
  state->renders = {&state->host, state->jobs.get(), &state->jobs->folder(),
                    static_cast<uint64_t>(config.max_upload_bytes), config.jpeg_quality};
  for (const std::string& name : config.preload) {
    const auto loaded = state->registry.Load(name);
    if (!loaded.ok() && loaded.status().code() == Code::kNotFound) {
      std::string roots;
      for (const auto& root : parts.avatar_roots) roots += " " + root.string();
      return Status(Code::kNotFound, loaded.status().message() + "; looked in" + roots);
    }
    if (!loaded.ok()) return loaded.status();
    state->loaded.push_back(name);
  }

  // What it has to say of a failure comes back to us; its own lines are for who asks for them.
  if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function([](gpr_log_func_args*) {});
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  const std::string host = HostInAddress(config.host);
  const std::string address = fmt::format("{}:{}", host, config.grpc_port);
  const bool secure = secrets.tls.has_value();
  if (secure) state->tls.Set(*secrets.tls);
  const auto credentials = [&] {  // of each port its own: each keeps count of new certificates
    state->credentials.push_back(GuardedCredentials(state->access, secure ? &state->tls : nullptr,
                                                    secure && !secrets.tls->client_ca.empty()));
    return state->credentials.back();
  };
  builder.AddListeningPort(address, credentials(), &state->grpc_port);
  int compat_port = -1;  // unless one is wanted
  const std::string compat_address = fmt::format("{}:{}", host, config.compat_port);
  if (config.compat_port != 0) {
    builder.AddListeningPort(compat_address, credentials(), &compat_port);
  }
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a port in use is an error
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.SetMaxReceiveMessageSize(static_cast<int>(config.max_message_bytes));
  builder.SetMaxSendMessageSize(static_cast<int>(config.max_message_bytes));
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> counters;
  counters.push_back(CountGrpcRequests(*parts.metrics));
  builder.experimental().SetInterceptorCreators(std::move(counters));
  builder.RegisterService(&state->speech);
  builder.RegisterService(&state->avatars);
  builder.RegisterService(&state->info);
  builder.RegisterService(&state->compat);
  state->grpc = builder.BuildAndStart();
  if (!state->grpc || state->grpc_port == 0 || compat_port == 0) {
    const bool first = state->grpc_port == 0;
    return Status(Code::kUnavailable,
                  fmt::format("grpc {}: cannot listen there: is the port in use?",
                              first ? address : compat_address));
  }
  for (const char* service : kServices) {
    state->grpc->GetHealthCheckService()->SetServingStatus(service, true);
  }
  state->health.Start(*state->grpc->GetHealthCheckService(), state->registry);

  HttpServerOptions http;
  http.host = config.host;
  http.port = config.http_port;
  http.origins.loopback_only = IsLoopback(config.host);
  http.upload_bytes = static_cast<uint64_t>(config.max_upload_bytes);
  http.origins.also = config.origins;
  http.uploads = &state->jobs->folder();
  http.tls = std::move(secrets.tls);
  http.access = &state->access;
  http.metrics = parts.metrics;
  LC_RETURN_IF_ERROR(http.router.Add(PagesOf(*state)));
  LC_RETURN_IF_ERROR(http.router.Add(WebPageRoutes()));
  LC_ASSIGN_OR_RETURN(auto says, SayProgramOf(config.say_command));
  if (says) says->group = parts.say_group;
  LC_RETURN_IF_ERROR(
      http.router.Add(SayRoutes(std::move(says), state->say, state->say_stop.get_token())));
  LC_RETURN_IF_ERROR(http.router.Add(AvatarRoutes(state->host, state->facts)));
  LC_RETURN_IF_ERROR(http.router.Add(RenderRoutes(*state->jobs, state->host.slow())));
  LC_RETURN_IF_ERROR(http.router.Add(SessionRoutes(state->host)));
  LC_RETURN_IF_ERROR(http.router.Add(RecordingRoutes(state->host, *state->recordings)));
  LC_RETURN_IF_ERROR(http.router.Add(LogRoutes(state->recent)));
  LC_RETURN_IF_ERROR(http.router.Add(LiveSessionRoutes(state->host, config.jpeg_quality)));
  http.upgrades["/v1/speak"] = [raw = state.get()](HttpSocket socket, UpgradeRequest request,
                                                   std::shared_ptr<HttpGate> gate,
                                                   const std::string& peer) {
    SpeakOverWebSocket(
        std::move(socket), std::move(request), std::move(gate), raw->host,
        {raw->config.jpeg_quality, static_cast<size_t>(raw->config.max_message_bytes), peer});
  };
  std::unique_ptr<Server> server(new Server(std::move(state)));  // from here on its end has a limit
  LC_ASSIGN_OR_RETURN(server->state_->http, HttpServer::Listen(std::move(http)));
  return server;
}

Server::~Server() {
  State& state = *state_;
  state.admission.Drain();
  state.say_stop.request_stop();
  state.jobs->CancelAll();
  state.recordings->Drain();
  state.host.CancelAll(refusal::Draining());
  state.health.Stop();
  state.grpc->Shutdown(std::chrono::system_clock::now() + kGoodbye);
  state.grpc->Wait();
  const auto limit = std::chrono::steady_clock::now() + kGoodbye;  // for sockets to close politely
  while (!Drained() && std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  state.http.reset();
}

Result<std::vector<std::string>> Server::Reload(const ServerConfig& fresh) {
  State& state = *state_;
  ServerConfig merged = state.config;
  std::vector<std::string> left = TakeReloadable(fresh, &merged);
  LC_ASSIGN_OR_RETURN(Secrets secrets, ReadSecrets(merged));
  if (secrets.tls) {
    LC_RETURN_IF_ERROR(state.http->SetTls(*secrets.tls));
    state.tls.Set(*std::move(secrets.tls));
  }
  for (const std::string& warning : secrets.warnings) {
    state.parts.log->Log(LogLevel::kWarning, "security", {{"what", warning}});
  }
  state.config = std::move(merged);
  state.access.SetTokens(std::move(secrets.tokens));
  state.access.SetLimits(AccessLimitsOf(state.config));
  state.admission.SetMaxSessions(state.config.max_sessions);
  state.host.SetLimits(std::chrono::seconds(state.config.max_session_seconds),
                       std::chrono::seconds(state.config.max_idle_seconds));
  return left;
}

int Server::grpc_port() const { return state_->grpc_port; }
int Server::http_port() const { return state_->http->port(); }

std::string Server::Greeting() const {
  const State& state = *state_;
  const bool secure = !state.config.tls_certificate.empty();
  std::string text = fmt::format(
      "grpc  {}:{}{}\nhttp  {}://{}:{}/ is the page, /status the operator's; /healthz /readyz "
      "/metrics, REST as /openapi.json tells, WebSocket /v1/speak\n",
      HostInAddress(state.config.host), grpc_port(), secure ? " (TLS)" : "",
      secure ? "https" : "http", HostInAddress(state.config.host), http_port());
  const double headroom = state.admission.report().headroom;  // nobody is there yet
  for (const std::string& name : state.loaded) {
    const auto entry = state_->registry.Get(name);
    if (!entry.ok() || !entry->avatar) continue;
    const auto cost = state_->host.StartCost(name, entry->avatar, StreamOptions{});
    if (!cost.ok()) continue;
    const double fps = entry->avatar->avatar->manifest().fps.value();
    const int workers = state.parts.engine->workers();
    const double sessions = std::max(1.0, std::floor(headroom * workers / *cost));
    text += fmt::format(
        "avatar {}: {:.1f} ms of work a frame on {}, so about {:.0f} live session{} of {:.4g} "
        "frames/s on {} worker{}\n",
        name, *cost / fps * 1e3, inference::ProviderName(entry->avatar->generator->provider()),
        sessions, sessions == 1 ? "" : "s", fps, workers, workers == 1 ? "" : "s");
  }
  return text;
}

void Server::BeginDrain() {
  for (const char* service : kServices) {
    state_->grpc->GetHealthCheckService()->SetServingStatus(service, false);
  }
  state_->health.Drain();
  state_->admission.Drain();
  state_->jobs->Drain();
  state_->recordings->Drain();
}

bool Server::Drained() const {
  return state_->host.open_streams() == 0 && state_->jobs->active() == 0 &&
         state_->recordings->active() == 0;
}

void Server::Tidy() {
  state_->registry.EvictIdle();
  state_->jobs->Tidy();
  state_->recordings->Tidy();
  state_->Sample();
}

}  // namespace lipcast::server
