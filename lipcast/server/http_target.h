#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lipcast/base/status.h"

namespace lipcast::server {

/// The target of a request, decoded: "/v1/avatars/anna%20b?fps=25" has the segments v1, avatars and
/// "anna b". All of it is UTF-8 without control characters; no segment is empty, "." or "..", or
/// holds a slash of either kind, so a name from here never climbs.
struct HttpTarget {
  std::vector<std::string> segments;
  bool folder = false;  ///< ended in "/"; "/" itself is that without segments
  std::map<std::string, std::string> query;

  std::string path() const;  ///< "/v1/avatars/anna b"
};

inline constexpr size_t kMaxTargetBytes = 4096;

/// kInvalidArgument names what is wrong and where. Only the form that starts with "/" is taken.
Result<HttpTarget> ParseTarget(std::string_view text);

/// A whole number among the query's, or `fallback` where it is not there. kInvalidArgument:
/// "quality = 'abc': want a whole number, 1..100".
Result<int64_t> QueryInteger(const HttpTarget& target, const std::string& name, int64_t low,
                             int64_t high, int64_t fallback);

/// Whose pages may connect and change things.
struct OriginRules {
  std::vector<std::string> also;  ///< "https://app.example", beside the server's own
  /// The server is reached under loopback names only, and those of `also`: a page whose name was
  /// made to point here (DNS rebinding) comes with that name as its Host, and is none of its own.
  bool loopback_only = false;
};

/// Whether the server may be asked under this name, a header value. None: no browser.
bool HostAllowed(std::string_view host, const OriginRules& rules);

/// `origin` and `host` are header values. No origin: no browser, or a page that only looks.
bool OriginAllowed(std::string_view origin, std::string_view host, const OriginRules& rules);

/// What lets a page of another origin read an answer: of a listed one, or of every one where
/// `any_origin`. `asks_before`: the answer is that to an OPTIONS request, a preflight.
std::vector<std::pair<std::string, std::string>> OriginHeaders(std::string_view origin,
                                                               bool any_origin, bool asks_before,
                                                               const OriginRules& rules);

/// A loopback address, or localhost.
bool IsLoopback(const std::string& host);

/// As it stands before a port: an IPv6 address in brackets.
std::string HostInAddress(const std::string& host);

}  // namespace lipcast::server
