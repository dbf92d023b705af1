// The file behind ServerConfig: YAML in, YAML with comments out.
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/server_config.h"

namespace lipcast::server {
namespace {

using Words = std::vector<std::string>;

constexpr size_t kMaxFileBytes = 1 << 20;

Status AtLine(const YAML::Node& node, const Status& status) {
  return status.Prefixed("line " + std::to_string(node.Mark().line + 1));
}

Status Refused(const YAML::Node& node, const std::string& message) {
  return AtLine(node, Status(Code::kInvalidArgument, message));
}

bool IsSection(const std::string& name) {
  return std::ranges::any_of(ConfigKeys(),
                             [&](const ConfigKey& k) { return k.name.starts_with(name + "."); });
}

Status ReadValue(const std::string& name, const YAML::Node& key_node, const YAML::Node& value,
                 ServerConfig* config) {
  const auto key = std::ranges::find(ConfigKeys(), name, &ConfigKey::name);
  if (key == ConfigKeys().end()) return AtLine(key_node, SetConfigWords(name, {}, config));
  const bool fits = value.IsScalar() || (key->list && (value.IsSequence() || value.IsNull()));
  if (!fits) return Refused(key_node, name + ": want " + key->wanted);
  Words words;
  if (value.IsScalar()) words.push_back(value.Scalar());
  if (value.IsSequence()) {
    for (const auto& item : value) {
      if (!item.IsScalar()) return Refused(item, name + ": want " + key->wanted);
      words.push_back(item.Scalar());
    }
  }
  return AtLine(key_node, SetConfigWords(name, words, config));
}

/// `prefix` is "" or a section with its dot: nothing lies deeper, so an alias of an outer node
/// ends.
Status ReadMap(const std::string& prefix, const YAML::Node& map, Words* seen,
               ServerConfig* config) {
  for (const auto& entry : map) {
    if (!entry.first.IsScalar()) return Refused(entry.first, "want key: value");
    const std::string name = prefix + entry.first.Scalar();
    if (std::ranges::find(*seen, name) != seen->end()) {
      return Refused(entry.first, name + ": stands twice");
    }
    seen->push_back(name);
    if (!IsSection(name)) {
      LC_RETURN_IF_ERROR(ReadValue(name, entry.first, entry.second, config));
    } else if (entry.second.IsMap()) {
      LC_RETURN_IF_ERROR(ReadMap(name + ".", entry.second, seen, config));
    } else if (!entry.second.IsNull()) {
      return Refused(entry.first, name + ": want a section with keys of its own");
    }
  }
  return {};
}

Status ReadDocument(const std::string& text, ServerConfig* config) {
  try {  // yaml-cpp reports by exception
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) return Refused(documents[1], "a second document: want one");
    if (documents.empty() || documents[0].IsNull()) return {};
    if (!documents[0].IsMap()) return Refused(documents[0], "want key: value lines");
    Words seen;
    return ReadMap("", documents[0], &seen, config);
  } catch (const YAML::Exception& error) {
    return Status(Code::kInvalidArgument,
                  "line " + std::to_string(error.mark.line + 1) + ": " + error.msg);
  }
}

/// yaml-cpp ends at some control characters without a word.
Status CheckText(const std::string& text) {
  int line = 1;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') ++line;
    if ((byte < ' ' && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f) {
      return Status(Code::kInvalidArgument,
                    fmt::format("line {}: holds the byte 0x{:02x}: want text", line, byte));
    }
  }
  if (!avatar::IsUtf8(text)) return Status(Code::kInvalidArgument, "is not UTF-8 text");
  return {};
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

Status ReadConfigFile(const std::filesystem::path& path, ServerConfig* config) {
  const std::string shown = avatar::ShownText(avatar::Utf8FromPath(path));
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return Status(Code::kInvalidArgument, shown + ": is a folder: want a YAML file");
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return Status(Code::kNotFound, shown + ": cannot be read");
  std::string text(kMaxFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return Status(Code::kDataLoss, shown + ": cannot be read");
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMaxFileBytes) {
    return Status(Code::kInvalidArgument, shown + ": want at most 1 MiB");
  }
  LC_RETURN_IF_ERROR(CheckText(text).Prefixed(shown));
  ServerConfig read = *config;  // a refused file changes nothing
  LC_RETURN_IF_ERROR(ReadDocument(text, &read).Prefixed(shown));
  *config = std::move(read);
  return {};
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
    Words words = key.get(config);
    if (key.text) std::ranges::transform(words, words.begin(), Quoted);
    const std::string value = fmt::format("{}", fmt::join(words, ", "));
    out += fmt::format("  # {} ({}{})\n  {}: {}\n", key.help, key.wanted,
                       key.reloads ? "; SIGHUP takes it over" : "", key.name.substr(dot + 1),
                       key.list ? "[" + value + "]" : value);
  }
  return out;
}

}  // namespace lipcast::server
