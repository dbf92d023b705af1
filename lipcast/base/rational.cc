#include "lipcast/base/rational.h"

#include <charconv>

namespace lipcast {
namespace {

constexpr int64_t kMaxTerm = 1'000'000'000;

bool ParsePositive(std::string_view text, int64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && *out > 0 && *out <= kMaxTerm;
}

Status Refuse(std::string_view text) {
  return Status(Code::kInvalidArgument, "frame rate '" + std::string(text) +
                                            "': want 1..120, e.g. 25, 29.97 or 30000/1001");
}

}  // namespace

Result<Rational> ParseFrameRate(std::string_view text) {
  Rational rate;
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    if (!ParsePositive(text.substr(0, slash), &rate.num)) return Refuse(text);
    if (!ParsePositive(text.substr(slash + 1), &rate.den)) return Refuse(text);
  } else if (const size_t dot = text.find('.'); dot != std::string_view::npos) {
    const std::string_view decimals = text.substr(dot + 1);
    if (dot == 0 || decimals.empty() || decimals.size() > 6) return Refuse(text);
    for (size_t i = 0; i < decimals.size(); ++i) rate.den *= 10;
    if (!ParsePositive(std::string(text.substr(0, dot)) + std::string(decimals), &rate.num)) {
      return Refuse(text);
    }
  } else if (!ParsePositive(text, &rate.num)) {
    return Refuse(text);
  }
  const int64_t divisor = std::gcd(rate.num, rate.den);
  rate.num /= divisor;
  rate.den /= divisor;
  if (rate.num < rate.den || rate.num > 120 * rate.den) return Refuse(text);
  return rate;
}

}  // namespace lipcast
