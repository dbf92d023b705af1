#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "lipcast/base/status.h"

namespace lipcast::avatar {

/// Deepest nesting that a manifest may have.
inline constexpr int kMaxJsonDepth = 16;

/// Strict JSON: one value, no key twice in an object, at most kMaxJsonDepth deep, valid UTF-8.
Result<nlohmann::json> ParseJson(std::string_view text);

/// A JSON value in a one-line message.
std::string ShownJson(const nlohmann::json& value);

/// The one line that explains a wrong value: "generator.border_px = -1: want 0..256".
Status WrongValue(std::string_view where, const nlohmann::json& value, std::string_view want);

/// Reads the fields of one JSON object and keeps the first fault in `*status`, so that a caller
/// reads all its fields and asks once. After a fault every getter returns its default.
/// The value, the names and the status must outlive the reader.
class ObjectReader {
 public:
  /// Refuses what is no object, and every key that is not in `known`.
  ObjectReader(const nlohmann::json& value, std::string where,
               std::initializer_list<std::string_view> known, Status* status);

  bool Has(std::string_view key) const;
  std::string Where(std::string_view key) const;

  int64_t Int(std::string_view key, int64_t low, int64_t high);
  /// UTF-8 without control characters, min_bytes..max_bytes long.
  std::string String(std::string_view key, size_t min_bytes, size_t max_bytes);
  /// The member itself, to be read by another ObjectReader; null after a fault.
  const nlohmann::json& Member(std::string_view key);
  template <typename Enum>
  Enum Choice(std::string_view key, std::span<const std::pair<std::string_view, Enum>> choices) {
    const nlohmann::json* value = Find(key, "one of its names");
    if (value == nullptr) return choices[0].second;
    std::string want;
    for (const auto& [name, choice] : choices) {
      if (value->is_string() && value->get_ref<const std::string&>() == name) return choice;
      want += (want.empty() ? "\"" : ", \"") + std::string(name) + '"';
    }
    Fault(WrongValue(Where(key), *value, want));
    return choices[0].second;
  }

  void Fault(Status fault);

 private:
  /// Null, with a fault kept, when the key is missing.
  const nlohmann::json* Find(std::string_view key, std::string_view want);

  const nlohmann::json& value_;
  std::string where_;
  Status* status_;
};

}  // namespace lipcast::avatar
