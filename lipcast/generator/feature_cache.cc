#include "lipcast/generator/feature_cache.h"

#include <algorithm>
#include <utility>

#include "lipcast/generator/half.h"

namespace lipcast::generator {

Result<FeaturePrecision> ParseFeaturePrecision(const std::string& name) {
  if (name == "half") return FeaturePrecision::kHalf;
  if (name == "full") return FeaturePrecision::kFull;
  return Status(Code::kInvalidArgument, "feature precision '" + name + "': want half or full");
}

FrameFeatures::FrameFeatures(std::span<const float> values, FeaturePrecision precision,
                             int64_t full) {
  auto kept_in_full = values;
  if (precision == FeaturePrecision::kHalf) {
    const auto rest = values.subspan(static_cast<size_t>(full));
    half_.resize(rest.size());
    if (ToHalf(rest, half_)) {
      kept_in_full = values.first(static_cast<size_t>(full));
    } else {
      half_ = {};
    }
  }
  full_.assign(kept_in_full.begin(), kept_in_full.end());
}

std::span<const float> FrameFeatures::Values(std::span<float> scratch) const {
  if (half_.empty()) return full_;
  std::ranges::copy(full_, scratch.begin());
  FromHalf(half_, scratch.subspan(full_.size()));
  return scratch;
}

int64_t FrameFeatures::size_bytes() const {
  return static_cast<int64_t>(full_.size() * sizeof(float) + half_.size() * sizeof(uint16_t));
}

FeatureCache::FeatureCache(const FeatureCacheOptions& options, FeatureSizes sizes)
    : options_(options), full_floats_(sizes.full) {
  stats_.needed_bytes = options.frames * sizes.bytes(options.precision);
  if (options_.memory) {
    const int64_t needed = stats_.needed_bytes > 0 ? stats_.needed_bytes : INT64_MAX;
    options_.memory->Join(this, needed);
  } else {
    stats_.budget_bytes = options.budget_bytes;
  }
}

FeatureCache::~FeatureCache() {
  if (options_.memory) options_.memory->Leave(this);
}

std::shared_ptr<const FrameFeatures> FeatureCache::Get(int64_t frame) {
  const std::scoped_lock lock(mu_);
  const auto found = entries_.find(frame);
  if (found == entries_.end()) {
    ++stats_.misses;
    return nullptr;
  }
  first_to_stay_.splice(first_to_stay_.begin(), first_to_stay_, found->second.place);
  ++stats_.hits;
  return found->second.features;
}

std::shared_ptr<const FrameFeatures> FeatureCache::Put(int64_t frame,
                                                       std::span<const float> values) {
  auto features = std::make_shared<const FrameFeatures>(values, options_.precision, full_floats_);
  const int64_t bytes = features->size_bytes();
  const std::scoped_lock lock(mu_);
  if (const auto found = entries_.find(frame); found != entries_.end()) {
    return found->second.features;
  }
  if (bytes > stats_.budget_bytes) return features;
  DropUntil(stats_.budget_bytes - bytes);
  const bool fresh = ++puts_ % kFreshEvery == 0;
  const auto place =
      first_to_stay_.insert(fresh ? first_to_stay_.begin() : first_to_stay_.end(), frame);
  entries_.emplace(frame, Entry{features, place});
  stats_.bytes_held += bytes;
  ++stats_.frames;
  return features;
}

void FeatureCache::SetBudget(int64_t bytes) {
  const std::scoped_lock lock(mu_);
  stats_.budget_bytes = bytes;
  DropUntil(bytes);
}

FeatureCache::Stats FeatureCache::stats() const {
  const std::scoped_lock lock(mu_);
  return stats_;
}

void FeatureCache::DropUntil(int64_t bytes_held) {
  while (stats_.bytes_held > bytes_held && !first_to_stay_.empty()) {
    const auto last = entries_.find(first_to_stay_.back());
    stats_.bytes_held -= last->second.features->size_bytes();
    --stats_.frames;
    ++stats_.evictions;
    entries_.erase(last);
    first_to_stay_.pop_back();
  }
}

}  // namespace lipcast::generator
