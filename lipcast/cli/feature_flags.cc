#include "lipcast/cli/feature_flags.h"

#include <fmt/format.h>

namespace lipcast::cli {
namespace {

/// What is wrong with it, for CLI11.
std::string AutoOrMegabytes(const std::string& text) {
  static const CLI::Range range(0, 1 << 20);
  std::string copy = text;
  return text == "auto" || range(copy).empty()
             ? ""
             : "'" + text + "': want auto, or a whole number, 0..1048576";
}

double Mb(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

void FeatureFlags::AddTo(CLI::App& command) {
  command
      .add_option("--feature-cache-mb", megabytes,
                  "Memory for what an optimised avatar's network keeps of its frames; 0: none; "
                  "auto: what it needs, up to half of the free memory")
      ->check(AutoOrMegabytes)
      ->type_name("MB|auto")
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
  generator::SetBudget(
      megabytes == "auto" ? std::nullopt : std::optional<int64_t>(std::stoll(megabytes)), INT64_MAX,
      &options);
  LC_ASSIGN_OR_RETURN(options.precision, generator::ParseFeaturePrecision(precision));
  return options;
}

nlohmann::ordered_json FeatureCacheJson(const generator::Generator& generator) {
  const auto stats = generator.feature_stats();
  if (!stats) return nullptr;
  return {{"frames", stats->frames},
          {"mb", Mb(stats->bytes_held)},
          {"budget_mb", Mb(stats->budget_bytes)},
          {"needed_mb", Mb(stats->needed_bytes)},
          {"hits", stats->hits},
          {"misses", stats->misses}};
}

std::string FeatureCacheLine(const generator::Generator& generator) {
  const auto stats = generator.feature_stats();
  if (!stats) return "the whole network drew every frame";
  return fmt::format(
      "image features of {} frames kept in {:.0f} MB of {:.0f}, all would need {:.0f}: {} hits, {} "
      "misses",
      stats->frames, Mb(stats->bytes_held), Mb(stats->budget_bytes), Mb(stats->needed_bytes),
      stats->hits, stats->misses);
}

std::string FeatureCacheNote(const generator::Generator& generator) {
  const auto stats = generator.feature_stats();
  if (!stats || stats->budget_bytes >= stats->needed_bytes) return "";
  return fmt::format(
      "image features have {:.0f} MB, the avatar's frames need {:.0f}: the others are computed "
      "each time (--feature-cache-mb)",
      Mb(stats->budget_bytes), Mb(stats->needed_bytes));
}

}  // namespace lipcast::cli
