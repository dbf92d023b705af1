#include "lipcast/cli/feature_flags.h"

#include <fmt/format.h>

namespace lipcast::cli {
namespace {

double Mb(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

void FeatureFlags::AddTo(CLI::App& command) {
  command
      .add_option("--feature-cache-mb", megabytes,
                  "Memory for what an optimised avatar's network keeps of its frames; 0: none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--feature-precision", precision,
                  "Kept in half precision, or in full: to the bit what the whole network draws")
      ->check(CLI::IsMember({"half", "full"}))
      ->capture_default_str();
  command
      .add_option("--variant", variant,
                  "Which of an avatar's networks draws: full, split, int8, or auto: its own choice")
      ->check(CLI::IsMember({"auto", "full", "split", "int8"}))
      ->capture_default_str();
}

Result<generator::FeatureCacheOptions> FeatureFlags::Options() const {
  generator::FeatureCacheOptions options;
  options.budget_bytes = megabytes << 20;
  LC_ASSIGN_OR_RETURN(options.precision, generator::ParseFeaturePrecision(precision));
  return options;
}

nlohmann::ordered_json FeatureCacheJson(const generator::Generator& generator) {
  const auto stats = generator.feature_stats();
  if (!stats) return nullptr;
  return {{"frames", stats->frames},
          {"mb", Mb(stats->bytes_held)},
          {"hits", stats->hits},
          {"misses", stats->misses}};
}

std::string FeatureCacheLine(const generator::Generator& generator) {
  const auto stats = generator.feature_stats();
  if (!stats) return "the whole network drew every frame";
  return fmt::format("image features of {} frames kept in {:.0f} MB: {} hits, {} misses",
                     stats->frames, Mb(stats->bytes_held), stats->hits, stats->misses);
}

}  // namespace lipcast::cli
