#include "lipcast/avatar/picture_cache.h"

#include <algorithm>
#include <utility>

namespace lipcast::avatar {

SharedPicture PictureCache::Get(int64_t index) {
  const std::scoped_lock lock(mu_);
  const auto found = entries_.find(index);
  if (found == entries_.end()) return nullptr;
  newest_first_.splice(newest_first_.begin(), newest_first_, found->second.place);
  ++stats_.hits;
  return found->second.picture;
}

bool PictureCache::Has(int64_t index) const {
  const std::scoped_lock lock(mu_);
  return entries_.contains(index);
}

void PictureCache::Put(int64_t index, SharedPicture picture) {
  const auto bytes = static_cast<int64_t>(picture->size_bytes());
  const std::scoped_lock lock(mu_);
  if (const auto found = entries_.find(index); found != entries_.end()) {
    newest_first_.splice(newest_first_.begin(), newest_first_, found->second.place);
    return;
  }
  if (bytes > budget_bytes_) return;
  DropOldestUntil(budget_bytes_ - bytes);
  newest_first_.push_front(index);
  entries_.emplace(index, Entry{std::move(picture), newest_first_.begin()});
  stats_.bytes_held += bytes;
  stats_.bytes_peak = std::max(stats_.bytes_peak, stats_.bytes_held);
  ++stats_.pictures;
}

void PictureCache::ShrinkBudget(int64_t bytes) {
  const std::scoped_lock lock(mu_);
  budget_bytes_ -= bytes;
  DropOldestUntil(budget_bytes_);
}

PictureCache::Stats PictureCache::stats() const {
  const std::scoped_lock lock(mu_);
  return stats_;
}

void PictureCache::DropOldestUntil(int64_t bytes_held) {
  while (stats_.bytes_held > bytes_held && !newest_first_.empty()) {
    const auto oldest = entries_.find(newest_first_.back());
    stats_.bytes_held -= static_cast<int64_t>(oldest->second.picture->size_bytes());
    --stats_.pictures;
    ++stats_.evictions;
    entries_.erase(oldest);
    newest_first_.pop_back();
  }
}

}  // namespace lipcast::avatar
