#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "lipcast/base/picture.h"

namespace lipcast::avatar {

using SharedPicture = std::shared_ptr<const Picture>;

/// The most recently used pictures, by frame index, within a byte budget.
/// Memory: counts pixel bytes; never above the budget. A picture that left the cache lives as long
///         as somebody holds it.
/// Thread: any. The lock covers look-up and bookkeeping only.
class PictureCache {
 public:
  struct Stats {
    int64_t bytes_held = 0, bytes_peak = 0;
    int64_t pictures = 0, hits = 0, evictions = 0;
  };

  explicit PictureCache(int64_t budget_bytes) : budget_bytes_(budget_bytes) {}

  /// Null on a miss. A hit makes the picture the newest.
  SharedPicture Get(int64_t index);
  /// Whether Get would find it; counts and moves nothing.
  bool Has(int64_t index) const;
  /// Makes room by dropping the oldest. A picture above the whole budget is not kept; one that is
  /// already there stays and becomes the newest.
  void Put(int64_t index, SharedPicture picture);
  /// Takes `bytes` off the budget for good, dropping the oldest pictures as needed.
  void ShrinkBudget(int64_t bytes);

  Stats stats() const;

 private:
  struct Entry {
    SharedPicture picture;
    std::list<int64_t>::iterator place;
  };

  void DropOldestUntil(int64_t bytes_held);

  mutable std::mutex mu_;
  int64_t budget_bytes_;                        // guarded by mu_
  Stats stats_;                                 // guarded by mu_
  std::list<int64_t> newest_first_;             // guarded by mu_
  std::unordered_map<int64_t, Entry> entries_;  // guarded by mu_
};

}  // namespace lipcast::avatar
