#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lipcast/avatar/frame_decoder.h"
#include "lipcast/avatar/package_files.h"
#include "lipcast/avatar/picture_cache.h"
#include "lipcast/base/status.h"

namespace lipcast::avatar {

/// What a store holds and how much it may hold.
struct FrameStoreConfig {
  int64_t frame_count = 0;
  int width = 0, height = 0;
  int64_t budget_bytes = int64_t{512} << 20;  ///< decoded pictures and compressed bytes together
  int max_decoders = 4;  ///< of one video: one per place where somebody plays it
  Status Validate() const;
};

/// Where the frames come from. Exactly one of the two is set.
struct VideoFrames {
  std::function<Result<std::unique_ptr<FrameDecoder>>()> open;
  int64_t compressed_bytes = 0;  ///< held in memory all the time (a video out of a .zip), else 0
};
struct ImageFrames {
  std::function<std::string(int64_t frame)> name;  ///< for messages
  std::function<Result<SharedBytes>(int64_t frame)> read;
  std::function<Result<Picture>(std::span<const uint8_t>)> decode;
};

struct FrameStoreStats {
  int64_t bytes_held = 0;  ///< decoded + compressed, never above the budget
  int64_t compressed_bytes_held = 0;
  int64_t decoded_bytes_peak = 0;
  int64_t frames_held = 0;
  int64_t hits = 0;
  int64_t decodes = 0;   ///< frames a decoder went through, also those on the way to another
  int64_t decoders = 0;  ///< open decoders of the video
  int64_t evictions = 0;
};

/// The pictures of one clip, by index, within a byte budget; shared by all who play the clip.
/// Video:  when the clip fits, sequential play decodes each frame once. When it does not, forward
///         play costs one decode a frame; a step back decodes its key-frame group once and keeps of
///         it what fits, so backward play costs at most 1/2 + group / (2 x frames that fit) decodes
///         a frame. Everybody who plays elsewhere gets a decoder of its own, up to max_decoders.
/// Images: compressed bytes are kept in up to half the budget (unless all decoded frames fit), the
///         rest is read again; decoded frames use what is left.
/// Memory: what callers hold after it left the cache, the frames being decoded and the decoders'
/// own
///         state come on top of the budget.
/// Thread: any. A frame in the cache never waits for a decoder.
/// Errors: kOutOfRange for an index outside the clip; kDataLoss for a frame of another size or
///         format than the rest ("frame 17 = 640x360: want 1280x720"); else the codec's own.
class FrameStore {
 public:
  static Result<std::unique_ptr<FrameStore>> Create(const FrameStoreConfig& config,
                                                    VideoFrames video);
  static Result<std::unique_ptr<FrameStore>> Create(const FrameStoreConfig& config,
                                                    ImageFrames images);

  Result<SharedPicture> Frame(int64_t index);

  PixelFormat format() const { return format_; }
  /// Longest way from a key frame to the last frame that needs it; 1 for images.
  int64_t longest_group() const { return longest_group_; }
  /// How many decoded frames fit into the budget.
  int64_t frames_that_fit() const { return frames_that_fit_; }
  int64_t bytes_held() const { return stats().bytes_held; }
  FrameStoreStats stats() const;

 private:
  static constexpr int64_t kNone = -1;

  /// A decoder and the play head it follows.
  struct Head {
    std::mutex mu;                          // held while decoding
    std::unique_ptr<FrameDecoder> decoder;  // guarded by mu; null until first used
    int64_t next = 0;                       // guarded by mu: what follows its last frame
    int64_t low = kNone, high = kNone;      // guarded by heads_mu_: the frames last asked of it
    uint64_t last_used = 0;                 // guarded by heads_mu_
  };

  FrameStore(const FrameStoreConfig& config, PixelFormat format, int64_t cache_bytes);
  static Result<int64_t> CacheBytes(const FrameStoreConfig& config, PixelFormat format,
                                    int64_t compressed_bytes);

  Result<SharedPicture> FromVideo(int64_t index);
  Result<SharedPicture> FromImages(int64_t index);
  Result<SharedBytes> ImageBytes(int64_t index);
  /// The head to decode `index`, and the first frame of the way there that is worth keeping.
  std::pair<Head*, int64_t> HeadFor(int64_t index);
  /// Checks size and format, then keeps the picture.
  Result<SharedPicture> Keep(int64_t index, Picture picture);
  Result<SharedPicture> KeepImage(int64_t index, Picture picture);
  Status ReadGroups(FrameDecoder* decoder);
  int64_t GroupStart(int64_t index) const;
  /// How many frames of a group one head may keep. Needs heads_mu_.
  int64_t FramesPerHeadLocked() const;
  /// Whether `index` continues what this head plays, or the head is free. Needs heads_mu_.
  bool PlaysThereLocked(const Head& head, int64_t index) const;
  bool all_fit() const { return frames_that_fit_ >= config_.frame_count; }

  const FrameStoreConfig config_;
  const PixelFormat format_;
  const int64_t compressed_limit_bytes_;
  const int64_t frames_that_fit_;
  int64_t longest_group_ = 1;
  std::atomic<int64_t> decodes_ = 0;
  PictureCache cache_;

  VideoFrames video_;
  std::vector<int64_t> group_starts_;  // ascending, the first is 0
  mutable std::mutex heads_mu_;
  std::vector<std::unique_ptr<Head>> heads_;  // guarded by heads_mu_; never shrinks
  uint64_t clock_ = 0;                        // guarded by heads_mu_

  ImageFrames images_;
  static constexpr size_t kStripes = 16;
  std::mutex stripes_[kStripes];  // an image is decoded by one thread at a time
  mutable std::mutex compressed_mu_;
  std::vector<SharedBytes> compressed_;  // guarded by compressed_mu_; null where not kept
  int64_t compressed_bytes_held_ = 0;    // guarded by compressed_mu_
};

}  // namespace lipcast::avatar
