#include "lipcast/server/http_target.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "lipcast/avatar/package_path.h"

namespace lipcast::server {
namespace {

constexpr size_t kMaxSegments = 32, kMaxQuery = 32;

Status Refuse(std::string_view what, std::string_view why) {
  return Status(Code::kInvalidArgument,
                "'" + avatar::ShownText(what, 80) + "': " + std::string(why));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> Decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return Refuse(text, "want two hexadecimal digits after %");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    out += c;
  }
  const bool plain = std::ranges::none_of(
      out, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
  if (!plain || !avatar::IsUtf8(out)) return Refuse(text, "want UTF-8 text of one line");
  return out;
}

Status ReadSegments(std::string_view path, HttpTarget* target) {
  while (!path.empty()) {  // "/segment" again and again
    path.remove_prefix(1);
    const std::string_view raw = path.substr(0, path.find('/'));
    path.remove_prefix(raw.size());
    if (raw.empty() && path.empty()) {
      target->folder = true;
      return {};
    }
    LC_ASSIGN_OR_RETURN(std::string segment, Decode(raw, false));
    if (segment.empty() || segment == "." || segment == ".." ||
        segment.find_first_of("/\\") != std::string::npos) {
      return Refuse(raw, "want the name of a step in the path");
    }
    if (target->segments.size() == kMaxSegments) return Refuse(raw, "the path is too deep");
    target->segments.push_back(std::move(segment));
  }
  return {};
}

Status ReadQuery(std::string_view text, HttpTarget* target) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    const size_t equals = std::min(pair.find('='), pair.size());
    LC_ASSIGN_OR_RETURN(std::string name, Decode(pair.substr(0, equals), true));
    LC_ASSIGN_OR_RETURN(std::string value,
                        Decode(pair.substr(std::min(equals + 1, pair.size())), true));
    if (name.empty()) return Refuse(pair, "want name=value");
    if (target->query.size() == kMaxQuery) return Refuse(name, "too many parameters");
    if (!target->query.emplace(name, std::move(value)).second)
      return Refuse(name, "stands twice, want it once");
  }
  return {};
}

/// "example.org" of "Example.org:8443", "::1" of "[::1]:8443".
std::string NameOf(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  std::string name(host.substr(0, host.rfind(':')));
  std::ranges::transform(name, name.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return name;
}

}  // namespace

std::string HttpTarget::path() const {
  std::string text;
  for (const std::string& segment : segments) text += "/" + segment;
  return folder || segments.empty() ? text + "/" : text;
}

Result<HttpTarget> ParseTarget(std::string_view text) {
  if (text.size() > kMaxTargetBytes) {
    return Status(Code::kInvalidArgument, fmt::format("the target of the request: {} bytes, want "
                                                      "at most {}",
                                                      text.size(), kMaxTargetBytes));
  }
  if (!text.starts_with('/')) return Refuse(text, "want a path that starts with /");
  if (text.find('#') != std::string_view::npos) return Refuse(text, "want no #");
  HttpTarget target;
  const size_t mark = std::min(text.find('?'), text.size());
  LC_RETURN_IF_ERROR(ReadSegments(text.substr(0, mark), &target).Prefixed("path"));
  LC_RETURN_IF_ERROR(
      ReadQuery(text.substr(std::min(mark + 1, text.size())), &target).Prefixed("query"));
  return target;
}

Result<int64_t> QueryInteger(const HttpTarget& target, const std::string& name, int64_t low,
                             int64_t high, int64_t fallback) {
  const auto found = target.query.find(name);
  if (found == target.query.end()) return fallback;
  int64_t value = 0;
  const char* const last = found->second.data() + found->second.size();
  const auto [end, error] = std::from_chars(found->second.data(), last, value);
  if (error != std::errc() || end != last || value < low || value > high) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} = '{}': want a whole number, {}..{}", name,
                              avatar::ShownText(found->second, 80), low, high));
  }
  return value;
}

bool HostAllowed(std::string_view host, const OriginRules& rules) {
  if (!rules.loopback_only || host.empty() || IsLoopback(NameOf(host))) return true;
  return std::ranges::any_of(rules.also, [&](std::string_view origin) {
    return origin.substr(std::min(origin.find("://") + 3, origin.size())) == host;
  });
}

bool OriginAllowed(std::string_view origin, std::string_view host, const OriginRules& rules) {
  if (origin.empty()) return true;
  if (std::ranges::find(rules.also, origin) != rules.also.end()) return true;
  const size_t at = origin.find("://");
  if (at == std::string_view::npos || host.empty() || origin.substr(at + 3) != host) return false;
  return HostAllowed(host, rules);
}

std::vector<std::pair<std::string, std::string>> OriginHeaders(std::string_view origin,
                                                               bool any_origin, bool asks_before,
                                                               const OriginRules& rules) {
  std::vector<std::pair<std::string, std::string>> headers;
  const bool listed = std::ranges::find(rules.also, origin) != rules.also.end();
  if (!rules.also.empty()) headers.emplace_back("Vary", "Origin");  // or a cache mixes them up
  if (origin.empty() || !(any_origin || listed)) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", any_origin ? "*" : origin);
  if (!asks_before) return headers;
  headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE");
  headers.emplace_back("Access-Control-Allow-Headers", "Authorization, Content-Type");
  headers.emplace_back("Access-Control-Max-Age", "600");
  return headers;
}

bool IsLoopback(const std::string& host) {
  in_addr four{};
  in6_addr six{};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  if (inet_pton(AF_INET6, host.c_str(), &six) == 1) return IN6_IS_ADDR_LOOPBACK(&six);
  return host == "localhost";
}

std::string HostInAddress(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

}  // namespace lipcast::server
