#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "lipcast/base/status.h"
#include "lipcast/generator/generator.h"

namespace lipcast::cli {

/// --feature-cache-mb, --feature-precision and --variant, of every command that draws.
struct FeatureFlags {
  std::string megabytes = "auto", precision = "half", variant = "auto";

  void AddTo(CLI::App& command);
  Result<generator::FeatureCacheOptions> Options() const;
  std::optional<avatar::GeneratorVariant> Variant() const { return avatar::ParseVariant(variant); }
};

/// {"frames": 250, "mb": 164.1, "budget_mb": 164.1, "needed_mb": 164.1, "hits": 1750, "misses":
/// 250}; null where the whole network draws.
nlohmann::ordered_json FeatureCacheJson(const generator::Generator& generator);
/// For people, where not all of the avatar's frames can be kept; else empty.
std::string FeatureCacheNote(const generator::Generator& generator);
/// The same as one line for people.
std::string FeatureCacheLine(const generator::Generator& generator);

}  // namespace lipcast::cli
