#include "lipcast/server/server_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/http_target.h"

namespace lipcast::server {
namespace {

using Words = std::vector<std::string>;

Status Refuse(const std::string& key, const std::string& found, const std::string& wanted) {
  return Status(Code::kInvalidArgument, key + " = " + found + ": want " + wanted);
}

std::string InQuotes(const std::string& text) { return "'" + avatar::ShownText(text, 80) + "'"; }

bool IsOneLine(const std::string& text) {
  return avatar::IsUtf8(text) && std::ranges::none_of(text, [](char c) {
           return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
         });
}

/// A key of one word: parse(config, word) says whether it took it.
template <typename Parse, typename Show>
ConfigKey WordKey(const std::string& name, std::string help, const std::string& wanted, Parse parse,
                  Show show) {
  ConfigKey key;
  key.name = name;
  key.help = std::move(help);
  key.wanted = wanted;
  key.set = [=](ServerConfig& config, const Words& words) -> Status {
    if (words.size() != 1) return Refuse(name, "a list", wanted);
    return parse(config, words[0]) ? Status() : Refuse(name, InQuotes(words[0]), wanted);
  };
  key.get = [=](const ServerConfig& config) { return Words{show(config)}; };
  return key;
}

std::optional<int64_t> NumberIn(const std::string& text, int64_t low, int64_t high) {
  int64_t value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc() || end != last || value < low || value > high) return std::nullopt;
  return value;
}

template <typename Number>
ConfigKey NumberKey(const std::string& name, Number ServerConfig::*field, int64_t low, int64_t high,
                    std::string help) {
  ConfigKey key = WordKey(
      name, std::move(help), fmt::format("a whole number, {}..{}", low, high),
      [=](ServerConfig& config, const std::string& text) {
        const auto value = NumberIn(text, low, high);
        if (value) config.*field = static_cast<Number>(*value);
        return value.has_value();
      },
      [=](const ServerConfig& config) { return std::to_string(config.*field); });
  key.range = {low, high};
  return key;
}

/// A number, or none: the program's own choice.
ConfigKey AutoNumberKey(const std::string& name, std::optional<int64_t> ServerConfig::*field,
                        int64_t low, int64_t high, std::string help) {
  ConfigKey key = WordKey(
      name, std::move(help), fmt::format("auto, or a whole number, {}..{}", low, high),
      [=](ServerConfig& config, const std::string& text) {
        const auto value = NumberIn(text, low, high);
        if (!value && text != "auto") return false;
        config.*field = value;
        return true;
      },
      [=](const ServerConfig& config) {
        return config.*field ? std::to_string(*(config.*field)) : "auto";
      });
  key.range = {low, high};
  return key;
}

ConfigKey TextKey(const std::string& name, std::string ServerConfig::*field, std::string help) {
  ConfigKey key = WordKey(
      name, std::move(help), "one line of UTF-8 text",
      [=](ServerConfig& config, const std::string& text) {
        if (!IsOneLine(text)) return false;
        config.*field = text;
        return true;
      },
      [=](const ServerConfig& config) { return config.*field; });
  key.text = true;
  return key;
}

ConfigKey ChoiceKey(const std::string& name, std::string ServerConfig::*field, const Words& choices,
                    std::string help) {
  return WordKey(
      name, std::move(help), fmt::format("one of {}", fmt::join(choices, ", ")),
      [=](ServerConfig& config, const std::string& text) {
        if (std::ranges::find(choices, text) == choices.end()) return false;
        config.*field = text;
        return true;
      },
      [=](const ServerConfig& config) { return config.*field; });
}

ConfigKey BoolKey(const std::string& name, bool ServerConfig::*field, std::string help) {
  return WordKey(
      name, std::move(help), "true or false",
      [=](ServerConfig& config, const std::string& text) {
        if (text != "true" && text != "false") return false;
        config.*field = text == "true";
        return true;
      },
      [=](const ServerConfig& config) { return config.*field ? "true" : "false"; });
}

ConfigKey ListKey(const std::string& name, Words ServerConfig::*field, std::string help) {
  ConfigKey key;
  key.name = name;
  key.help = std::move(help);
  key.wanted = "a list of texts";
  key.text = true;
  key.list = true;
  key.set = [=](ServerConfig& config, const Words& words) -> Status {
    for (const std::string& word : words) {
      if (word.empty() || !IsOneLine(word)) {
        return Refuse(name, InQuotes(word), "items that are one line of UTF-8 text");
      }
    }
    config.*field = words;
    return {};
  };
  key.get = [=](const ServerConfig& config) { return config.*field; };
  return key;
}

ConfigKey Reloads(ConfigKey key) {
  key.reloads = true;
  return key;
}

std::vector<ConfigKey> MakeKeys() {
  using C = ServerConfig;
  constexpr int64_t kPortMax = 65535, kGiB = int64_t{1} << 30, kYear = 31'536'000;
  return {
      TextKey("listen.host", &C::host,
              "the address to listen on; beyond loopback needs TLS or insecure"),
      NumberKey("listen.grpc_port", &C::grpc_port, 0, kPortMax, "gRPC; 0 takes any free one"),
      NumberKey("listen.compat_port", &C::compat_port, 0, kPortMax,
                "a second gRPC port for old clients, usually 50053; 0: none"),
      NumberKey("listen.http_port", &C::http_port, 0, kPortMax, "HTTP; 0 takes any free one"),
      BoolKey("listen.insecure", &C::insecure, "listen beyond loopback without TLS"),
      TextKey("listen.tls_certificate", &C::tls_certificate, "PEM file; with tls_key turns TLS on"),
      TextKey("listen.tls_key", &C::tls_key, "PEM file"),
      TextKey("listen.tls_client_ca", &C::tls_client_ca,
              "PEM file; clients must show a certificate of it"),
      Reloads(TextKey("listen.tokens", &C::tokens,
                      "a file of bearer tokens, one a line; empty: none asked for")),
      ListKey("listen.origins", &C::origins,
              "pages that may connect beside the server's own: https://app.example"),
      NumberKey("limits.message_bytes", &C::max_message_bytes, 1 << 16, kGiB, "one message"),
      NumberKey("limits.upload_bytes", &C::max_upload_bytes, 1 << 16, 64 * kGiB, "one upload"),
      Reloads(NumberKey("limits.sessions", &C::max_sessions, 0, 100'000,
                        "open sessions; 0: the measured headroom alone decides")),
      NumberKey("limits.file_sessions", &C::max_file_sessions, 0, 100'000,
                "open at file pace, beside those; 0: any number"),
      Reloads(NumberKey("limits.session_seconds", &C::max_session_seconds, 0, kYear,
                        "how long a session may last; 0: for ever")),
      Reloads(NumberKey("limits.idle_seconds", &C::max_idle_seconds, 0, kYear,
                        "how long a session may hear nothing; 0: for ever")),
      Reloads(NumberKey(
          "limits.opens_per_second", &C::opens_per_second, 0, 100'000,
          "sessions and renders one address may open, twice as many at once; 0: any number")),
      Reloads(NumberKey("limits.wrong_tokens_per_minute", &C::wrong_tokens_per_minute, 0, 100'000,
                        "HTTP: more from one address shut it out for a while; 0: any number")),
      NumberKey("limits.queued_jobs", &C::queued_jobs, 0, 100'000,
                "renders and old clients' requests that wait; more are refused"),
      NumberKey("limits.drain_seconds", &C::drain_seconds, 0, 86'400,
                "how long SIGTERM waits for running sessions"),
      NumberKey("engine.workers", &C::workers, 0, 256, "0: one a core"),
      ChoiceKey("engine.provider", &C::provider, {"cpu", "cuda"}, "what runs the networks"),
      ChoiceKey("engine.provider_policy", &C::provider_policy, {"require", "prefer"},
                "prefer takes the CPU if the provider is missing, and says so"),
      NumberKey("engine.device", &C::device, 0, 63, "CUDA device"),
      NumberKey("engine.intra_threads", &C::intra_threads, 1, 256,
                "threads inside one run of a network; more than 1 pays with few sessions only"),
      ListKey("avatars.roots", &C::avatar_roots,
              "folders that hold avatars; none: where lipcast render looks"),
      ListKey("avatars.preload", &C::preload, "loaded before the server is ready"),
      BoolKey("avatars.preload_frames", &C::preload_frames,
              "decode an avatar's frames when it is loaded, as far as frame_memory_mb goes"),
      NumberKey("avatars.frame_memory_mb", &C::frame_memory_mb, 16, 1 << 20,
                "decoded frames of one avatar"),
      AutoNumberKey(
          "avatars.feature_cache_mb", &C::feature_cache_mb, 0, 1 << 20,
          "what an optimised avatar's network keeps of its frames; 0: nothing; auto: what "
          "all need, up to half of the free memory and of model_memory_mb"),
      ChoiceKey("avatars.feature_precision", &C::feature_precision, {"half", "full"},
                "of what is kept; full draws to the bit what the whole network draws"),
      ChoiceKey("avatars.variant", &C::variant, {"auto", "full", "split", "int8"},
                "which of an avatar's networks draws; auto: what its avatar.json says"),
      NumberKey("avatars.model_memory_mb", &C::model_memory_mb, 16, 1 << 20,
                "all loaded avatars; those not in use go first"),
      NumberKey("avatars.max", &C::max_avatars, 1, 10'000, "loaded at once"),
      ChoiceKey("avatars.eviction", &C::eviction, {"lru", "lfu"}, "which avatar goes first"),
      NumberKey("avatars.idle_seconds", &C::avatar_idle_seconds, 0, kYear,
                "unload after this long without a session; 0: never"),
      TextKey("renders.folder", &C::render_folder,
              "where uploads, renders and recordings have a folder; empty: the system's for "
              "temporary files"),
      NumberKey("renders.running", &C::renders_running, 1, 64,
                "renders at a time; their work goes behind that of live sessions"),
      NumberKey("renders.keep_seconds", &C::render_keep_seconds, 1, kYear,
                "how long a render is known and its file is there after its end; at most 1000 are"),
      NumberKey("renders.disk_mb", &C::render_disk_mb, 1, 1 << 24,
                "sounds and files of renders, also those on their way; the oldest files go first"),
      NumberKey("recordings.running", &C::recordings_running, 0, 1000,
                "sessions that are recorded at a time; 0: none are, whoever asks"),
      NumberKey("recordings.max_seconds", &C::recording_max_seconds, 1, 86400,
                "a recording that gets this long ends, and is kept"),
      NumberKey(
          "recordings.keep_seconds", &C::recording_keep_seconds, 1, kYear,
          "how long a recording is known and its file is there after its end; at most 1000 are"),
      NumberKey("recordings.disk_mb", &C::recording_disk_mb, 1, 1 << 24,
                "files of recordings, also those under way; the oldest files go first"),
      NumberKey("output.jpeg_quality", &C::jpeg_quality, 1, 100, "where a client asks for none"),
      ChoiceKey("output.compat_frames", &C::compat_frames, {"jpeg", "raw"},
                "what old clients get; raw is BGR"),
      ListKey("say.command", &C::say_command,
              "a program that speaks text, with its arguments: text in, WAV out; auto: "
              "espeak-ng if there; an empty list: off"),
      Reloads(ChoiceKey("log.level", &C::log_level, {"debug", "info", "warning", "error"},
                        "what is below is not written")),
      ChoiceKey("log.format", &C::log_format, {"text", "json"}, "one line an event"),
      NumberKey("log.flush_ms", &C::log_flush_ms, 0, 60'000,
                "how long lines are gathered, warnings never; 0: each leaves at once"),
      NumberKey("log.debug_sample", &C::log_debug_sample, 1, 1'000'000,
                "of each kind of debug line, every how manieth is written"),
      TextKey("trace.file", &C::trace_file,
              "spans of single frames go there, the file is made anew; empty: none"),
      ChoiceKey("trace.format", &C::trace_format, {"chrome", "otlp"},
                "for chrome://tracing and Perfetto, or lines of OTLP/JSON for a collector"),
      NumberKey("trace.every", &C::trace_every, 1, 1'000'000,
                "of each session's frames, every how manieth is traced"),
      NumberKey("trace.max_mb", &C::trace_mb, 1, 65'536, "the file grows no further"),
  };
}

const ConfigKey* FindKey(const std::string& name) {
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

int EditDistance(const std::string& a, const std::string& b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int corner = std::exchange(row[0], static_cast<int>(i));
    for (size_t j = 1; j <= b.size(); ++j) {
      const int swap = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
      corner = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, swap}));
    }
  }
  return row[b.size()];
}

std::string LastPart(const std::string& name) { return name.substr(name.rfind('.') + 1); }

Status UnknownKey(const std::string& name) {
  std::string nearest;
  // Further off than three letters, or half the name, is no misspelling.
  int best = std::min(4, static_cast<int>(name.size()) / 2 + 1);
  const auto consider = [&](const std::string& candidate, int distance) {
    if (distance >= best) return;
    best = distance;
    nearest = candidate;
  };
  const size_t dot = name.find('.');
  for (const ConfigKey& key : ConfigKeys()) {
    if (name.size() > 80) break;
    // The right word in the wrong section, or in none, is as good as one letter off.
    const bool word = LastPart(name) == LastPart(key.name);
    consider(key.name, word ? 1 : EditDistance(name, key.name));
    const std::string section = key.name.substr(0, key.name.find('.'));
    if (dot == std::string::npos) consider(section, EditDistance(name, section));
  }
  return Status(Code::kInvalidArgument,
                avatar::ShownText(name, 80) + ": no such key" +
                    (nearest.empty() ? "" : ", did you mean " + nearest + "?"));
}

std::string EnvironmentName(const std::string& key) {
  std::string name = "LIPCAST_" + key;
  std::ranges::transform(name, name.begin(), [](char c) {
    return c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  return name;
}

/// The key that a name of the environment means, or would if there was one: "listen.grpc_prt".
/// Empty if it does not begin like ours.
std::string KeyOfEnvironment(const std::string& name) {
  for (const ConfigKey& key : ConfigKeys()) {
    const std::string start = EnvironmentName(key.name.substr(0, key.name.find('.') + 1));
    if (!name.starts_with(start)) continue;
    std::string rest = name.substr(start.size());
    std::ranges::transform(rest, rest.begin(), [](char c) {
      return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
    return key.name.substr(0, key.name.find('.') + 1) + rest;
  }
  return "";
}

std::string Trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t");
  return first == std::string::npos ? ""
                                    : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

const std::vector<ConfigKey>& ConfigKeys() {
  static const std::vector<ConfigKey> keys = MakeKeys();
  return keys;
}

Status ServerConfig::Validate() const {
  for (const ConfigKey& key : ConfigKeys()) {
    ServerConfig copy;
    LC_RETURN_IF_ERROR(key.set(copy, key.get(*this)));
  }
  const bool tls = !tls_certificate.empty() && !tls_key.empty();
  if (tls_certificate.empty() != tls_key.empty()) {
    return Status(Code::kInvalidArgument,
                  "listen.tls_certificate and listen.tls_key: want both or none");
  }
  if (!tls_client_ca.empty() && !tls) {
    return Status(Code::kInvalidArgument,
                  "listen.tls_client_ca: wants tls_certificate and tls_key");
  }
  if (host.empty()) return Refuse("listen.host", "''", "an address or a name");
  if (!IsLoopback(host) && !tls && !insecure) {
    return Refuse("listen.host", host,
                  "a loopback address, or TLS (listen.tls_certificate, listen.tls_key), or "
                  "listen.insecure = true");
  }
  for (const std::string& origin : origins) {
    const size_t at = origin.find("://");
    const bool good = at != std::string::npos && at > 0 && at + 3 < origin.size() &&
                      origin.find_first_of("/ *?#@", at + 3) == std::string::npos;
    if (!good) {
      return Refuse("listen.origins", InQuotes(origin), "scheme://host or scheme://host:port");
    }
  }
  for (const int port : {grpc_port, compat_port}) {
    if (port != 0 && port == http_port) {
      return Refuse("listen.http_port", std::to_string(port), "a port that gRPC does not use");
    }
  }
  if (compat_port != 0 && compat_port == grpc_port) {
    return Refuse("listen.compat_port", std::to_string(compat_port),
                  "another than listen.grpc_port, which serves old clients too");
  }
  return {};
}

Status ReadConfigEnvironment(const std::map<std::string, std::string>& environment,
                             ServerConfig* config) {
  for (const auto& [name, value] : environment) {
    const std::string key = KeyOfEnvironment(name);
    if (!key.empty()) LC_RETURN_IF_ERROR(SetConfigKey(key, value, config).Prefixed(name));
  }
  return {};
}

Status SetConfigWords(const std::string& name, const std::vector<std::string>& words,
                      ServerConfig* config) {
  const ConfigKey* key = FindKey(name);
  return key == nullptr ? UnknownKey(name) : key->set(*config, words);
}

Status SetConfigKey(const std::string& name, const std::string& value, ServerConfig* config) {
  const ConfigKey* key = FindKey(name);
  Words words{value};
  if (key != nullptr && key->list) {
    words.clear();
    std::string list = Trimmed(value);
    if (list.starts_with('[')) {  // as the file has it
      if (!list.ends_with(']')) return Refuse(name, InQuotes(value), "items between [ and ]");
      list = list.substr(1, list.size() - 2);
      if (Trimmed(list).empty()) list.clear();
    }
    std::stringstream items(list);
    for (std::string item; std::getline(items, item, ',');) words.push_back(Trimmed(item));
  }
  return SetConfigWords(name, words, config);
}

Result<ServerConfig> ReadConfig(const ConfigSources& sources) {
  ServerConfig config;
  if (sources.file) LC_RETURN_IF_ERROR(ReadConfigFile(*sources.file, &config));
  LC_RETURN_IF_ERROR(ReadConfigEnvironment(sources.environment, &config));
  for (const auto& [name, value] : sources.flags) {
    LC_RETURN_IF_ERROR(SetConfigKey(name, value, &config));
  }
  LC_RETURN_IF_ERROR(config.Validate());
  return config;
}

std::vector<std::string> TakeReloadable(const ServerConfig& fresh, ServerConfig* running) {
  std::vector<std::string> left;
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.get(fresh) == key.get(*running)) continue;
    if (!key.reloads || !key.set(*running, key.get(fresh)).ok()) left.push_back(key.name);
  }
  return left;
}

}  // namespace lipcast::server
