#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "lipcast/base/status.h"
#include "lipcast/generator/feature_memory.h"

namespace lipcast::generator {

enum class FeaturePrecision {
  kHalf,  ///< 2 bytes a value of the large tensors; what it costs in the picture:
          ///< docs/performance.md
  kFull,  ///< 4 bytes; frames are those of the whole network to the bit
};
Result<FeaturePrecision> ParseFeaturePrecision(const std::string& name);  ///< "half", "full"

struct FeatureCacheOptions {
  int64_t budget_bytes = int64_t{512} << 20;  ///< of each avatar; 0: nothing is kept
  FeaturePrecision precision = FeaturePrecision::kHalf;
  /// Where set, the budget is what it gives, up to what the avatar needs; budget_bytes is not used.
  std::shared_ptr<FeatureMemory> memory = nullptr;
  int64_t frames = 0;  ///< of the avatar that are ever drawn; 0: unknown, needs all it may have

  bool keeps() const { return memory ? memory->bytes() > 0 : budget_bytes > 0; }
};

/// How many values one frame has, of which the first `full` are kept in full at either precision.
struct FeatureSizes {
  int64_t floats = 0, full = 0;

  int64_t bytes(FeaturePrecision precision) const {
    return precision == FeaturePrecision::kHalf ? floats * 2 + full * 2 : floats * 4;
  }
};

/// What the picture part of a network gave for one avatar frame. Immutable.
class FrameFeatures {
 public:
  /// In half precision the first `full` values are kept in full; all are where there are some that
  /// it cannot hold (NaN, beyond 65504).
  FrameFeatures(std::span<const float> values, FeaturePrecision precision, int64_t full);

  /// The values, in `scratch` (of as many floats) where they are not kept in full.
  std::span<const float> Values(std::span<float> scratch) const;
  int64_t size_bytes() const;

 private:
  std::vector<float> full_;
  std::vector<uint16_t> half_;  ///< those behind full_
};

/// Features by avatar frame, within a byte budget, for all sessions and workers of one avatar.
/// Order:  the least recently used goes first. Frames come round in a circle, where that order
///         alone never hits once the circle outgrows the budget: so a new entry is the next to go
///         until it is used a second time, all but one in kFreshEvery.
/// Memory: never above the budget. An entry that left lives as long as somebody holds it.
/// Thread: any. The lock covers look-up and bookkeeping only.
class FeatureCache {
 public:
  struct Stats {
    int64_t bytes_held = 0, frames = 0;
    int64_t hits = 0, misses = 0, evictions = 0;
    int64_t budget_bytes = 0;
    int64_t needed_bytes = 0;  ///< to keep every frame; 0: unknown
  };
  static constexpr int64_t kFreshEvery = 32;

  /// `sizes`: of one frame's features; 0 floats: unknown.
  explicit FeatureCache(const FeatureCacheOptions& options, FeatureSizes sizes = {});
  ~FeatureCache();
  FeatureCache(const FeatureCache&) = delete;
  FeatureCache& operator=(const FeatureCache&) = delete;

  /// Null on a miss.
  std::shared_ptr<const FrameFeatures> Get(int64_t frame);
  /// What to draw with, kept or not: where two come with the same frame, both get the first one's.
  std::shared_ptr<const FrameFeatures> Put(int64_t frame, std::span<const float> values);

  /// What is above it goes at once.
  void SetBudget(int64_t bytes);

  Stats stats() const;

 private:
  using Order = std::list<int64_t>;
  struct Entry {
    std::shared_ptr<const FrameFeatures> features;
    Order::iterator place;
  };

  void DropUntil(int64_t bytes_held);

  const FeatureCacheOptions options_;
  const int64_t full_floats_;
  mutable std::mutex mu_;
  Stats stats_;                                 // guarded by mu_
  int64_t puts_ = 0;                            // guarded by mu_
  Order first_to_stay_;                         // guarded by mu_; frames, the next to go last
  std::unordered_map<int64_t, Entry> entries_;  // guarded by mu_
};

}  // namespace lipcast::generator
