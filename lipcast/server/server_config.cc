#include "lipcast/server/server_config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace lipcast::server {
namespace {

using Words = std::vector<std::string>;

Status Refuse(const std::string& key, const std::string& found, const std::string& wanted) {
  return Status(Code::kInvalidArgument, key + " = " + found + ": want " + wanted);
}

Result<std::string> OneWord(const std::string& key, const Words& words) {
  if (words.size() != 1) return Refuse(key, "a list", "one value");
  return words[0];
}

template <typename Number>
ConfigKey NumberKey(std::string name, Number ServerConfig::*field, int64_t low, int64_t high,
                    std::string help) {
  ConfigKey key;
  key.name = name;
  key.help = help + fmt::format(" ({}..{})", low, high);
  key.set = [=](ServerConfig& config, const Words& words) -> Status {
    LC_ASSIGN_OR_RETURN(const std::string text, OneWord(name, words));
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
      return Refuse(name, "'" + text + "'", fmt::format("a whole number, {}..{}", low, high));
    }
    config.*field = static_cast<Number>(value);
    return {};
  };
  key.get = [=](const ServerConfig& config) { return Words{std::to_string(config.*field)}; };
  return key;
}

ConfigKey TextKey(std::string name, std::string ServerConfig::*field, std::string help) {
  ConfigKey key;
  key.name = name;
  key.help = std::move(help);
  key.set = [=](ServerConfig& config, const Words& words) -> Status {
    LC_ASSIGN_OR_RETURN(config.*field, OneWord(name, words));
    return {};
  };
  key.get = [=](const ServerConfig& config) { return Words{config.*field}; };
  return key;
}

ConfigKey ChoiceKey(std::string name, std::string ServerConfig::*field, Words choices,
                    std::string help) {
  ConfigKey key =
      TextKey(name, field, help + " (" + fmt::format("{}", fmt::join(choices, ", ")) + ")");
  key.set = [=](ServerConfig& config, const Words& words) -> Status {
    LC_ASSIGN_OR_RETURN(const std::string text, OneWord(name, words));
    if (std::ranges::find(choices, text) == choices.end()) {
      return Refuse(name, "'" + text + "'", fmt::format("{}", fmt::join(choices, ", ")));
    }
    config.*field = text;
    return {};
  };
  return key;
}

ConfigKey BoolKey(std::string name, bool ServerConfig::*field, std::string help) {
  ConfigKey key;
  key.name = name;
  key.help = std::move(help);
  key.set = [=](ServerConfig& config, const Words& words) -> Status {
    LC_ASSIGN_OR_RETURN(const std::string text, OneWord(name, words));
    if (text != "true" && text != "false") return Refuse(name, "'" + text + "'", "true or false");
    config.*field = text == "true";
    return {};
  };
  key.get = [=](const ServerConfig& config) { return Words{config.*field ? "true" : "false"}; };
  return key;
}

ConfigKey ListKey(std::string name, Words ServerConfig::*field, std::string help) {
  ConfigKey key;
  key.name = std::move(name);
  key.help = std::move(help);
  key.list = true;
  key.set = [=](ServerConfig& config, const Words& words) -> Status {
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
      NumberKey("limits.message_bytes", &C::max_message_bytes, 1 << 16, kGiB, "one message"),
      NumberKey("limits.upload_bytes", &C::max_upload_bytes, 1 << 16, 64 * kGiB, "one upload"),
      Reloads(NumberKey("limits.sessions", &C::max_sessions, 0, 100'000,
                        "open sessions; 0: the measured headroom alone decides")),
      Reloads(NumberKey("limits.session_seconds", &C::max_session_seconds, 0, kYear,
                        "how long a session may last; 0: for ever")),
      Reloads(NumberKey("limits.idle_seconds", &C::max_idle_seconds, 0, kYear,
                        "how long a session may hear nothing; 0: for ever")),
      NumberKey("limits.drain_seconds", &C::drain_seconds, 0, 86400,
                "how long SIGTERM waits for running sessions"),
      NumberKey("engine.workers", &C::workers, 0, 1024, "0: one a core"),
      ChoiceKey("engine.provider", &C::provider, {"cpu", "cuda"}, "what runs the networks"),
      ChoiceKey("engine.provider_policy", &C::provider_policy, {"require", "prefer"},
                "prefer takes the CPU if the provider is missing, and says so"),
      NumberKey("engine.device", &C::device, 0, 63, "CUDA device"),
      ListKey("avatars.roots", &C::avatar_roots, "folders that hold avatars"),
      ListKey("avatars.preload", &C::preload, "loaded before the server is ready"),
      NumberKey("avatars.frame_memory_mb", &C::frame_memory_mb, 16, 1 << 20,
                "decoded frames of one avatar"),
      NumberKey("avatars.model_memory_mb", &C::model_memory_mb, 16, 1 << 20,
                "all loaded avatars; those not in use go first"),
      NumberKey("avatars.max", &C::max_avatars, 1, 10'000, "loaded at once"),
      ChoiceKey("avatars.eviction", &C::eviction, {"lru", "lfu"}, "which avatar goes first"),
      NumberKey("avatars.idle_seconds", &C::avatar_idle_seconds, 0, kYear,
                "unload after this long without a session; 0: never"),
      NumberKey("output.jpeg_quality", &C::jpeg_quality, 1, 100, "where a client asks for none"),
      ChoiceKey("output.compat_frames", &C::compat_frames, {"jpeg", "raw"},
                "what old clients get; raw is BGR"),
      Reloads(
          ChoiceKey("log.level", &C::log_level, {"debug", "info", "warning", "error"}, "least")),
      ChoiceKey("log.format", &C::log_format, {"text", "json"}, "lines"),
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

Status UnknownKey(const std::string& name) {
  std::string nearest;
  int best = 4;  // further off than three letters is no misspelling
  for (const ConfigKey& key : ConfigKeys()) {
    if (const int distance = EditDistance(name, key.name); distance < best) {
      best = distance;
      nearest = key.name;
    }
  }
  return Status(
      Code::kInvalidArgument,
      name + ": no such key" + (nearest.empty() ? "" : ", did you mean " + nearest + "?"));
}

Status SetWords(const std::string& name, const Words& words, ServerConfig* config) {
  const ConfigKey* key = FindKey(name);
  return key == nullptr ? UnknownKey(name) : key->set(*config, words);
}

std::string LineOf(const YAML::Node& node) {
  return "line " + std::to_string(node.Mark().line + 1) + ": ";
}

Status ReadNode(const std::string& prefix, const YAML::Node& node, std::vector<std::string>* seen,
                ServerConfig* config) {
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      return Status(Code::kInvalidArgument, LineOf(entry.first) + "want key: value");
    }
    const std::string name = prefix + entry.first.Scalar();
    if (std::ranges::find(*seen, name) != seen->end()) {
      return Status(Code::kInvalidArgument, LineOf(entry.first) + name + ": stands twice");
    }
    seen->push_back(name);
    const YAML::Node& value = entry.second;
    if (value.IsMap()) {
      LC_RETURN_IF_ERROR(ReadNode(name + ".", value, seen, config));
      continue;
    }
    Words words;
    if (value.IsScalar()) words.push_back(value.Scalar());
    if (value.IsSequence()) {
      for (const auto& item : value) {
        if (!item.IsScalar()) {
          return Status(Code::kInvalidArgument, LineOf(item) + name + ": want a list of texts");
        }
        words.push_back(item.Scalar());
      }
    }
    const ConfigKey* key = FindKey(name);
    if (key != nullptr && !key->list && !value.IsScalar()) {
      return Status(Code::kInvalidArgument, LineOf(entry.first) + name + ": want one value");
    }
    const Status set = SetWords(name, words, config);
    if (!set.ok())
      return set.Prefixed(LineOf(entry.first).substr(0, LineOf(entry.first).size() - 2));
  }
  return {};
}

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

/// A text that YAML reads back as the same text.
std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

bool Plain(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
  });
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
  if (!IsLoopback(host) && !tls && !insecure) {
    return Refuse("listen.host", host,
                  "a loopback address, or TLS (listen.tls_certificate, listen.tls_key), or "
                  "listen.insecure = true");
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

Status ReadConfigFile(const std::filesystem::path& path, ServerConfig* config) {
  std::ifstream in(path);
  std::stringstream text;
  if (!in || !(text << in.rdbuf())) {
    return Status(Code::kNotFound, path.string() + ": cannot be read");
  }
  YAML::Node root;
  try {  // yaml-cpp reports by exception
    root = YAML::Load(text.str());
  } catch (const YAML::Exception& error) {
    return Status(
        Code::kInvalidArgument,
        path.string() + ": line " + std::to_string(error.mark.line + 1) + ": " + error.msg);
  }
  if (root.IsNull()) return {};
  if (!root.IsMap())
    return Status(Code::kInvalidArgument, path.string() + ": want key: value lines");
  std::vector<std::string> seen;
  return ReadNode("", root, &seen, config).Prefixed(path.string());
}

Status ReadConfigEnvironment(const std::map<std::string, std::string>& environment,
                             ServerConfig* config) {
  for (const ConfigKey& key : ConfigKeys()) {
    std::string name = "LIPCAST_" + key.name;
    std::ranges::transform(name, name.begin(), [](char c) {
      return c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    });
    const auto found = environment.find(name);
    if (found == environment.end()) continue;
    LC_RETURN_IF_ERROR(SetConfigKey(key.name, found->second, config).Prefixed(name));
  }
  return {};
}

Status SetConfigKey(const std::string& name, const std::string& value, ServerConfig* config) {
  const ConfigKey* key = FindKey(name);
  Words words{value};
  if (key != nullptr && key->list) {
    words.clear();
    std::stringstream items(value);
    for (std::string item; std::getline(items, item, ',');) words.push_back(item);
  }
  return SetWords(name, words, config);
}

std::string PrintConfig(const ServerConfig& config) {
  std::string out =
      "# lipcast serve. A flag wins over the environment, the environment over this file.\n";
  std::string section;
  for (const ConfigKey& key : ConfigKeys()) {
    const size_t dot = key.name.find('.');
    if (key.name.substr(0, dot) != section) {
      section = key.name.substr(0, dot);
      out += "\n" + section + ":\n";
    }
    std::string value;
    if (key.list) {
      Words quoted;
      for (const std::string& item : key.get(config)) quoted.push_back(Quoted(item));
      value = fmt::format("[{}]", fmt::join(quoted, ", "));
    } else {
      const std::string text = key.get(config)[0];
      value = Plain(text) ? text : Quoted(text);
    }
    out +=
        fmt::format("  # {}{}\n  {}: {}\n", key.help, key.reloads ? "; SIGHUP takes it over" : "",
                    key.name.substr(dot + 1), value);
  }
  return out;
}

}  // namespace lipcast::server
