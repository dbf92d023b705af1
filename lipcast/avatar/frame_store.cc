#include "lipcast/avatar/frame_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace lipcast::avatar {
namespace {

/// So near to what a head last decoded, a wanted frame belongs to the same play.
constexpr int64_t kNearFrames = 32;

std::string_view FormatName(PixelFormat format) {
  switch (format) {
    case PixelFormat::kBgr24:
      return "BGR";
    case PixelFormat::kBgra32:
      return "BGR with alpha";
    case PixelFormat::kI420:
      return "I420";
    case PixelFormat::kGray8:
      return "gray";
  }
  return "unknown";
}

}  // namespace

Status FrameStoreConfig::Validate() const {
  if (frame_count < 1) {
    return Status(Code::kInvalidArgument, fmt::format("frame_count = {}: want >= 1", frame_count));
  }
  if (width < 1 || height < 1 || width > kMaxSidePx || height > kMaxSidePx) {
    return Status(Code::kInvalidArgument,
                  fmt::format("frame size {}x{}: want 1..{} each side", width, height, kMaxSidePx));
  }
  if (max_decoders < 1 || max_decoders > 64) {
    return Status(Code::kInvalidArgument,
                  fmt::format("max_decoders = {}: want 1..64", max_decoders));
  }
  return Status();
}

Result<int64_t> FrameStore::CacheBytes(const FrameStoreConfig& config, PixelFormat format,
                                       int64_t compressed_bytes) {
  const int64_t two_frames =
      2 * static_cast<int64_t>(PictureBytes(format, config.width, config.height));
  const int64_t cache_bytes = config.budget_bytes - compressed_bytes;
  if (cache_bytes >= two_frames) return cache_bytes;
  return Status(Code::kResourceExhausted,
                fmt::format("frame_budget_bytes = {}: want at least {}, two decoded frames of {}x{}"
                            " beside {} compressed bytes",
                            config.budget_bytes, two_frames + compressed_bytes, config.width,
                            config.height, compressed_bytes));
}

FrameStore::FrameStore(const FrameStoreConfig& config, PixelFormat format, int64_t cache_bytes)
    : config_(config),
      format_(format),
      compressed_limit_bytes_(
          std::min(cache_bytes / 2, cache_bytes - 2 * static_cast<int64_t>(PictureBytes(
                                                          format, config.width, config.height)))),
      frames_that_fit_(cache_bytes /
                       static_cast<int64_t>(PictureBytes(format, config.width, config.height))),
      cache_(cache_bytes) {}

Result<std::unique_ptr<FrameStore>> FrameStore::Create(const FrameStoreConfig& config,
                                                       VideoFrames video) {
  LC_RETURN_IF_ERROR(config.Validate());
  LC_ASSIGN_OR_RETURN(std::unique_ptr<FrameDecoder> decoder, video.open());
  LC_ASSIGN_OR_RETURN(const int64_t cache_bytes,
                      CacheBytes(config, decoder->format(), video.compressed_bytes));
  std::unique_ptr<FrameStore> store(new FrameStore(config, decoder->format(), cache_bytes));
  store->video_ = std::move(video);
  LC_RETURN_IF_ERROR(store->ReadGroups(decoder.get()));
  store->heads_.push_back(std::make_unique<Head>());
  store->heads_.back()->decoder = std::move(decoder);
  return store;
}

Result<std::unique_ptr<FrameStore>> FrameStore::Create(const FrameStoreConfig& config,
                                                       ImageFrames images) {
  LC_RETURN_IF_ERROR(config.Validate());
  // The first image says whether all have alpha.
  LC_ASSIGN_OR_RETURN(const SharedBytes bytes, images.read(0));
  auto first = images.decode(*bytes);
  if (!first.ok()) return first.status().Prefixed(images.name(0));
  LC_ASSIGN_OR_RETURN(const int64_t cache_bytes, CacheBytes(config, first->format(), 0));
  std::unique_ptr<FrameStore> store(new FrameStore(config, first->format(), cache_bytes));
  store->images_ = std::move(images);
  if (!store->all_fit()) store->compressed_.resize(static_cast<size_t>(config.frame_count));
  ++store->decodes_;
  LC_RETURN_IF_ERROR(store->KeepImage(0, *std::move(first)).status());
  return store;
}

Status FrameStore::ReadGroups(FrameDecoder* decoder) {
  for (int64_t last = config_.frame_count - 1; last >= 0;) {
    const int64_t start = decoder->KeyFrameBefore(last);
    if (start < 0 || start > last) {
      return Status(Code::kInternal, fmt::format("the key frame before frame {} = {}: want 0..{}",
                                                 last, start, last));
    }
    group_starts_.push_back(start);
    longest_group_ = std::max(longest_group_, last - start + 1);
    last = start - 1;
  }
  std::reverse(group_starts_.begin(), group_starts_.end());
  return Status();
}

int64_t FrameStore::GroupStart(int64_t index) const {
  return *std::prev(std::upper_bound(group_starts_.begin(), group_starts_.end(), index));
}

Result<SharedPicture> FrameStore::Frame(int64_t index) {
  if (index < 0 || index >= config_.frame_count) {
    return Status(Code::kOutOfRange,
                  fmt::format("frame {}: want 0..{}", index, config_.frame_count - 1));
  }
  if (SharedPicture picture = cache_.Get(index)) return picture;
  return images_.read != nullptr ? FromImages(index) : FromVideo(index);
}

Result<SharedPicture> FrameStore::Keep(int64_t index, Picture picture) {
  if (picture.width() != config_.width || picture.height() != config_.height) {
    return Status(Code::kDataLoss,
                  fmt::format("frame {} = {}x{}: want {}x{}", index, picture.width(),
                              picture.height(), config_.width, config_.height));
  }
  if (picture.format() != format_) {
    return Status(Code::kDataLoss, fmt::format("frame {} is {}: want {} as the first frame", index,
                                               FormatName(picture.format()), FormatName(format_)));
  }
  auto shared = std::make_shared<const Picture>(std::move(picture));
  cache_.Put(index, shared);
  return SharedPicture(std::move(shared));
}

int64_t FrameStore::FramesPerHeadLocked() const {
  if (all_fit()) return config_.frame_count;
  return std::max<int64_t>(1, frames_that_fit_ / static_cast<int64_t>(heads_.size()));
}

bool FrameStore::PlaysThereLocked(const Head& head, int64_t index) const {
  if (head.high == kNone) return true;
  const bool near = index >= head.low - kNearFrames && index <= head.high + kNearFrames;
  const bool starts_again = index < kNearFrames && head.high >= config_.frame_count - kNearFrames;
  // Where everything fits, one head per group means that no frame is decoded twice.
  const bool same_group = all_fit() && GroupStart(head.high) == GroupStart(index);
  return near || starts_again || same_group;
}

std::pair<FrameStore::Head*, int64_t> FrameStore::HeadFor(int64_t index) {
  const int64_t group = GroupStart(index);
  const std::scoped_lock lock(heads_mu_);
  const auto onwards = [index](const Head& head) {
    return head.high != kNone && index > head.high && index <= head.high + kNearFrames;
  };
  // Of those who play there, who has the fewest frames to decode; then the nearest.
  Head* chosen = nullptr;
  std::pair<int64_t, int64_t> least;
  for (const auto& head : heads_) {
    if (!PlaysThereLocked(*head, index)) continue;
    const int64_t distance = std::abs(index - head->high);
    const std::pair cost(onwards(*head) ? distance : index - group + 1, distance);
    if (chosen != nullptr && least <= cost) continue;
    chosen = head.get();
    least = cost;
  }
  if (chosen == nullptr && static_cast<int>(heads_.size()) < config_.max_decoders) {
    heads_.push_back(std::make_unique<Head>());
    chosen = heads_.back().get();
  }
  if (chosen == nullptr) {
    const auto older = [](const auto& a, const auto& b) { return a->last_used < b->last_used; };
    chosen = std::min_element(heads_.begin(), heads_.end(), older)->get();
  }
  const int64_t window_start = index - FramesPerHeadLocked() + 1;
  const int64_t keep_from = std::max(group, window_start);
  chosen->low = onwards(*chosen) ? std::max(chosen->low, window_start) : keep_from;
  chosen->high = index;
  chosen->last_used = ++clock_;
  return {chosen, keep_from};
}

Result<SharedPicture> FrameStore::FromVideo(int64_t index) {
  const auto [head, keep_from] = HeadFor(index);
  const std::scoped_lock lock(head->mu);
  // Whoever held the head may have decoded this frame on its way.
  if (SharedPicture picture = cache_.Get(index)) return picture;
  if (head->decoder == nullptr) {
    LC_ASSIGN_OR_RETURN(head->decoder, video_.open());
  }
  FrameDecoder& decoder = *head->decoder;
  int64_t start = decoder.KeyFrameBefore(index);
  if (start < 0 || start > index) {
    return Status(Code::kInternal, fmt::format("the key frame before frame {} = {}: want 0..{}",
                                               index, start, index));
  }
  const bool just_ahead =
      head->next != kNone && head->next <= index && index - head->next <= kNearFrames;
  int64_t first = std::max(start, keep_from);
  if (all_fit() && just_ahead) {
    first = start = std::min(start, head->next);  // what is skipped now would cost a seek later
  } else if (start == head->next) {
    first = index;  // forward play does not come back to what it skips
  }
  decodes_ += index - start + 1;
  head->next = kNone;
  for (int64_t i = first; i < index; ++i) {
    auto picture = decoder.Decode(i);
    // A fault of a frame that nobody asked for is told when somebody does.
    if (!picture.ok() || !Keep(i, *std::move(picture)).ok()) break;
  }
  auto picture = decoder.Decode(index);
  if (!picture.ok()) return picture.status().Prefixed(fmt::format("frame {}", index));
  head->next = index + 1;
  return Keep(index, *std::move(picture));
}

Result<SharedPicture> FrameStore::FromImages(int64_t index) {
  const std::scoped_lock lock(stripes_[static_cast<size_t>(index) % kStripes]);
  if (SharedPicture picture = cache_.Get(index)) return picture;
  LC_ASSIGN_OR_RETURN(const SharedBytes bytes, ImageBytes(index));
  auto picture = images_.decode(*bytes);
  if (!picture.ok()) return picture.status().Prefixed(images_.name(index));
  ++decodes_;
  return KeepImage(index, *std::move(picture));
}

Result<SharedPicture> FrameStore::KeepImage(int64_t index, Picture picture) {
  auto kept = Keep(index, std::move(picture));
  if (!kept.ok()) return kept.status().Prefixed(images_.name(index));
  return kept;
}

Result<SharedBytes> FrameStore::ImageBytes(int64_t index) {
  if (all_fit()) return images_.read(index);
  const auto slot = static_cast<size_t>(index);
  {
    const std::scoped_lock lock(compressed_mu_);
    if (compressed_[slot] != nullptr) return compressed_[slot];
  }
  LC_ASSIGN_OR_RETURN(SharedBytes bytes, images_.read(index));
  const auto size = static_cast<int64_t>(bytes->size());
  const std::scoped_lock lock(compressed_mu_);
  if (compressed_[slot] == nullptr && compressed_bytes_held_ + size <= compressed_limit_bytes_) {
    cache_.ShrinkBudget(size);
    compressed_[slot] = bytes;
    compressed_bytes_held_ += size;
  }
  return bytes;
}

FrameStoreStats FrameStore::stats() const {
  FrameStoreStats stats;
  {
    // Before the cache is asked: it has already made room for these.
    const std::scoped_lock lock(compressed_mu_);
    stats.compressed_bytes_held = compressed_bytes_held_ + video_.compressed_bytes;
  }
  const PictureCache::Stats cache = cache_.stats();
  stats.bytes_held = stats.compressed_bytes_held + cache.bytes_held;
  stats.decoded_bytes_peak = cache.bytes_peak;
  stats.frames_held = cache.pictures;
  stats.hits = cache.hits;
  stats.evictions = cache.evictions;
  stats.decodes = decodes_;
  const std::scoped_lock lock(heads_mu_);
  stats.decoders = static_cast<int64_t>(heads_.size());
  return stats;
}

}  // namespace lipcast::avatar
