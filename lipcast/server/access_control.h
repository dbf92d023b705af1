#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "lipcast/base/clock.h"
#include "lipcast/base/metrics.h"
#include "lipcast/base/status.h"
#include "lipcast/server/rate_limiter.h"

namespace lipcast::server {

/// The tokens of a file, kept as their SHA-256 sums.
class TokenSet {
 public:
  /// One token a line, # begins a comment: 16 to 4096 characters, of those a header may hold; at
  /// least one. Errors name file and line, never what stands there. `open_to_others`: the file's
  /// mode lets others than its owner and group read or write it.
  static Result<TokenSet> Read(const std::filesystem::path& file, bool* open_to_others);

  /// Takes the same time whichever token it is, or none.
  bool Contains(std::string_view token) const;
  size_t size() const { return sums_.size(); }

 private:
  using Sum = std::array<uint8_t, 32>;
  std::vector<Sum> sums_;
};

/// Who may come in, and how often. Tokens are in no message, log or metric.
/// Thread: any.
class AccessControl {
 public:
  struct Limits {
    int opens_per_second = 0;         ///< sessions that one address may open; 0: no limit
    int wrong_tokens_per_minute = 0;  ///< that one address may show; 0: no limit
  };
  static constexpr auto kSessionTokenLife = std::chrono::seconds(60);
  static constexpr size_t kMaxSessionTokens = 1024;

  AccessControl(const Limits& limits, const Clock& clock, Metrics& metrics);

  /// An empty set: nobody is asked. Session tokens that are out end.
  void SetTokens(TokenSet tokens);
  void SetLimits(const Limits& limits);
  bool asks() const;

  /// Of an Authorization header ("Bearer ..", or empty). kUnauthenticated; kResourceExhausted for
  /// an address that showed too many wrong ones, whatever it shows now. `address` may be empty:
  /// not known, not limited.
  Status CheckHeader(std::string_view authorization, std::string_view address);
  /// Of the query of a WebSocket. Good once.
  Status CheckSessionToken(std::string_view token, std::string_view address);
  /// 256 random bits in hexadecimal digits, good for kSessionTokenLife. kResourceExhausted when
  /// kMaxSessionTokens are out.
  Result<std::string> IssueSessionToken();
  /// kResourceExhausted: the address opens sessions too fast.
  Status AllowOpen(std::string_view address);

 private:
  Status CheckLocked(bool good, std::string_view address, std::string_view why);

  const Clock& clock_;
  Metrics& metrics_;
  RateLimiter opens_, failures_;
  mutable std::mutex mu_;
  TokenSet tokens_;                            // guarded by mu_
  std::map<std::string, TimePoint> sessions_;  // guarded by mu_: ends by the sum of the token
};

/// So many random bytes in hexadecimal digits, for what nobody may guess.
Result<std::string> RandomHex(size_t bytes);

/// "10.0.0.1" of gRPC's "ipv4:10.0.0.1:5000"; IPv6 without brackets; else as it is.
std::string AddressOfPeer(std::string_view peer);

}  // namespace lipcast::server
