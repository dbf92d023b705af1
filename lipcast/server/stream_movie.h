#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lipcast/base/status.h"
#include "lipcast/media/fragmented_mp4.h"

namespace lipcast::server {

struct StreamEvent;

/// The frames of one stream, H.264 in AVCC and their sound, as one fragmented MP4 that begins with
/// the first key frame, at time 0. Thread: one caller at a time.
class StreamMovie {
 public:
  static Result<std::unique_ptr<StreamMovie>> Create(const media::H264StreamOptions& options);

  /// The piece that the frame completes: the picture before it, and sound. Empty before the first
  /// key frame, and where the frame completes nothing.
  Result<std::string> Add(const StreamEvent& frame);
  /// The last piece; once.
  Result<std::string> Finish();

  std::span<const uint8_t> init_segment() const { return mp4_->init_segment(); }
  const std::string& mime_type() const { return mp4_->mime_type(); }  ///< for MediaSource
  const std::vector<std::string>& notes() const { return mp4_->notes(); }

 private:
  StreamMovie(std::unique_ptr<media::FragmentedMp4> mp4, bool sound)
      : mp4_(std::move(mp4)), sound_(sound) {}

  const std::unique_ptr<media::FragmentedMp4> mp4_;
  const bool sound_;
  int64_t first_ = -1;  // the stream's frame that is picture 0 here; none yet
};

}  // namespace lipcast::server
