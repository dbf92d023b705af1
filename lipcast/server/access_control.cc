#include "lipcast/server/access_control.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <system_error>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

constexpr size_t kMinTokenBytes = 16, kMaxTokenBytes = 4096;
constexpr size_t kMaxTokens = 10'000;
constexpr size_t kSessionTokenBytes = 32;
constexpr double kMinute = 60;

std::array<uint8_t, 32> SumOf(std::string_view token) {
  std::array<uint8_t, 32> sum{};
  SHA256(reinterpret_cast<const uint8_t*>(token.data()), token.size(), sum.data());
  return sum;
}

std::string SumText(std::string_view token) {
  const auto sum = SumOf(token);
  return {reinterpret_cast<const char*>(sum.data()), sum.size()};
}

/// "abc" of "Bearer abc"; empty for anything else.
std::string_view BearerOf(std::string_view header) {
  constexpr std::string_view kScheme = "bearer ";
  if (header.size() <= kScheme.size()) return {};
  for (size_t i = 0; i < kScheme.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(header[i])) != kScheme[i]) return {};
  }
  const size_t token = header.find_first_not_of(' ', kScheme.size());
  return token == std::string_view::npos ? std::string_view() : header.substr(token);
}

/// A line without its comment and the blanks around it.
std::string_view TokenOf(std::string_view line) {
  line = line.substr(0, line.find('#'));
  const size_t first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

Result<TokenSet> TokenSet::Read(const std::filesystem::path& file, bool* open_to_others) {
  namespace fs = std::filesystem;
  const std::string shown = avatar::ShownText(avatar::Utf8FromPath(file));
  const auto refuse = [&](const std::string& why) {
    return Status(Code::kInvalidArgument, "listen.tokens: " + shown + ": " + why);
  };
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return refuse("want a file with a token a line");
  std::ifstream in(file);
  if (!in) return refuse("cannot be read");
  *open_to_others =
      (fs::status(file, error).permissions() & fs::perms::others_all) != fs::perms::none;
  TokenSet set;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const std::string_view token = TokenOf(line);
    if (token.empty()) continue;
    const bool good = token.size() >= kMinTokenBytes && token.size() <= kMaxTokenBytes &&
                      std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; });
    if (!good) {
      return refuse(fmt::format("line {}: want {} to {} printable ASCII characters without a space",
                                number, kMinTokenBytes, kMaxTokenBytes));
    }
    if (set.sums_.size() == kMaxTokens) return refuse(fmt::format("want at most {}", kMaxTokens));
    set.sums_.push_back(SumOf(token));
  }
  OPENSSL_cleanse(line.data(), line.size());
  if (set.sums_.empty()) return refuse("has no token: want at least one");
  return set;
}

bool TokenSet::Contains(std::string_view token) const {
  const Sum shown = SumOf(token);
  int found = 0;
  for (const Sum& sum : sums_) found |= CRYPTO_memcmp(sum.data(), shown.data(), sum.size()) == 0;
  return found != 0;
}

AccessControl::AccessControl(const Limits& limits, const Clock& clock, Metrics& metrics)
    : clock_(clock), metrics_(metrics), opens_(0, 0, clock), failures_(0, 0, clock) {
  SetLimits(limits);
}

void AccessControl::SetTokens(TokenSet tokens) {
  const std::lock_guard lock(mu_);
  tokens_ = std::move(tokens);
  sessions_.clear();
}

void AccessControl::SetLimits(const Limits& limits) {
  opens_.Set(limits.opens_per_second, 2.0 * limits.opens_per_second);
  failures_.Set(limits.wrong_tokens_per_minute / kMinute, limits.wrong_tokens_per_minute);
}

bool AccessControl::asks() const {
  const std::lock_guard lock(mu_);
  return tokens_.size() > 0;
}

Status AccessControl::CheckHeader(std::string_view authorization, std::string_view address) {
  const std::string_view token = BearerOf(authorization);
  const std::lock_guard lock(mu_);
  if (tokens_.size() == 0) return {};
  if (authorization.empty()) {
    metrics_.Count("auth_failures_total{reason=\"missing\"}", 1);
    return Status(Code::kUnauthenticated, "want a token: Authorization: Bearer ..",
                  refusal::kTokenMissing);
  }
  return CheckLocked(!token.empty() && tokens_.Contains(token), address, "the token is not known");
}

Status AccessControl::CheckSessionToken(std::string_view token, std::string_view address) {
  const std::lock_guard lock(mu_);
  if (tokens_.size() == 0) return {};
  const auto found = sessions_.find(SumText(token));
  const bool known = found != sessions_.end();
  const bool good = known && clock_.Now() < found->second;
  if (known) sessions_.erase(found);
  return CheckLocked(good, address, "the session token is not known, was used or is too old");
}

Status AccessControl::CheckLocked(bool good, std::string_view address, std::string_view why) {
  const std::string key = RateKeyOf(address);
  const bool limited = !address.empty();
  if (limited && !failures_.Allows(key)) {
    metrics_.Count("auth_failures_total{reason=\"rate\"}", 1);
    return refusal::Exhausted(refusal::kRate, "too many wrong tokens from this address; try later");
  }
  if (good) return {};
  if (limited) failures_.Take(key);
  metrics_.Count("auth_failures_total{reason=\"wrong\"}", 1);
  return Status(Code::kUnauthenticated, std::string(why), refusal::kTokenWrong);
}

Result<std::string> AccessControl::IssueSessionToken() {
  LC_ASSIGN_OR_RETURN(std::string token, RandomHex(kSessionTokenBytes));
  const std::lock_guard lock(mu_);
  const TimePoint now = clock_.Now();
  std::erase_if(sessions_, [&](const auto& one) { return one.second <= now; });
  if (sessions_.size() >= kMaxSessionTokens) {
    return refusal::Exhausted(
        refusal::kQueue,
        fmt::format("{} session tokens are out; try again later", sessions_.size()));
  }
  sessions_.emplace(SumText(token), now + kSessionTokenLife);
  return token;
}

Status AccessControl::AllowOpen(std::string_view address) {
  if (opens_.Take(RateKeyOf(address))) return {};
  metrics_.Count("sessions_refused_total{reason=\"rate\"}", 1);
  return refusal::Exhausted(refusal::kRate,
                            "too many sessions opened from this address; try later");
}

Result<std::string> RandomHex(size_t bytes) {
  std::vector<uint8_t> random(bytes);
  if (RAND_bytes(random.data(), static_cast<int>(bytes)) != 1) {
    return Status(Code::kInternal, "no random bytes are to be had");
  }
  return fmt::format("{:02x}", fmt::join(random, ""));
}

std::string AddressOfPeer(std::string_view peer) {
  for (const std::string_view kind : {"ipv4:", "ipv6:"}) {
    if (!peer.starts_with(kind)) continue;
    std::string text(peer.substr(kind.size()));
    for (const auto& [code, bracket] : {std::pair{"%5B", "["}, {"%5D", "]"}}) {
      const size_t at = text.find(code);
      if (at != std::string::npos) text.replace(at, 3, bracket);
    }
    if (text.starts_with('[')) return text.substr(1, text.find(']') - 1);
    return text.substr(0, text.rfind(':'));
  }
  return std::string(peer);
}

}  // namespace lipcast::server
