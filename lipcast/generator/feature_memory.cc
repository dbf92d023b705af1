#include "lipcast/generator/feature_memory.h"

#include <algorithm>
#include <memory>

#include "lipcast/base/free_memory.h"
#include "lipcast/generator/feature_cache.h"

namespace lipcast::generator {

void FeatureMemory::Join(FeatureCache* cache, int64_t needed_bytes) {
  const std::scoped_lock lock(mu_);
  const auto place = std::ranges::upper_bound(members_, needed_bytes, {}, &Member::needed_bytes);
  members_.insert(place, {cache, needed_bytes});
  ShareOut();
}

void FeatureMemory::Leave(FeatureCache* cache) {
  const std::scoped_lock lock(mu_);
  std::erase_if(members_, [&](const Member& member) { return member.cache == cache; });
  ShareOut();
}

void FeatureMemory::ShareOut() {
  // Those that grow do so last, so that the bytes held never exceed the whole.
  std::vector<int64_t> budgets;
  int64_t left = bytes_;
  auto sharers = static_cast<int64_t>(members_.size());
  for (const Member& member : members_) {
    budgets.push_back(std::min(member.needed_bytes, left / sharers--));
    left -= budgets.back();
  }
  for (const bool grow : {false, true}) {
    for (size_t i = 0; i < members_.size(); ++i) {
      FeatureCache& cache = *members_[i].cache;
      if ((budgets[i] > cache.stats().budget_bytes) == grow) cache.SetBudget(budgets[i]);
    }
  }
}

int64_t AutomaticFeatureBytes(int64_t limit_bytes) {
  const auto free = FreeMemoryBytes();
  const int64_t share =
      free ? static_cast<int64_t>(FeatureMemory::kShareOfFree * static_cast<double>(*free))
           : FeatureCacheOptions().budget_bytes;
  return std::min(share, limit_bytes);
}

void SetBudget(std::optional<int64_t> megabytes, int64_t automatic_limit_bytes,
               FeatureCacheOptions* options) {
  if (megabytes) {
    options->budget_bytes = *megabytes << 20;
    options->memory = nullptr;
  } else {
    options->memory = std::make_shared<FeatureMemory>(AutomaticFeatureBytes(automatic_limit_bytes));
  }
}

}  // namespace lipcast::generator
