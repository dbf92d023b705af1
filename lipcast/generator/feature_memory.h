#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace lipcast::generator {

class FeatureCache;
struct FeatureCacheOptions;

/// Memory that the features of all avatars share. Each cache has what it needs where that fits;
/// where it does not, those that need little have it all, and the others equal parts of the rest.
/// A cache that joins or leaves changes the others' budgets at once.
/// Memory: the budgets together never exceed the bytes given. Thread: any.
class FeatureMemory {
 public:
  /// A cache's share, in an automatic budget, of what is free when the program starts.
  static constexpr double kShareOfFree = 0.5;

  explicit FeatureMemory(int64_t bytes) : bytes_(bytes) {}

  /// The cache leaves before it ends.
  void Join(FeatureCache* cache, int64_t needed_bytes);
  void Leave(FeatureCache* cache);
  int64_t bytes() const { return bytes_; }

 private:
  struct Member {
    FeatureCache* cache;
    int64_t needed_bytes;
  };
  void ShareOut();  // holds mu_

  const int64_t bytes_;
  std::mutex mu_;                // before the mutex of a cache
  std::vector<Member> members_;  // guarded by mu_; those that need least first
};

/// kShareOfFree of what is free now, at most `limit_bytes`; 512 MiB where nobody knows what is.
int64_t AutomaticFeatureBytes(int64_t limit_bytes = INT64_MAX);

/// What the user said of the budget: mebibytes for each avatar, or none: automatic, shared by all.
void SetBudget(std::optional<int64_t> megabytes, int64_t automatic_limit_bytes,
               FeatureCacheOptions* options);

}  // namespace lipcast::generator
