#pragma once

// Included by .cc files of media/ only.

#include <cstdint>
#include <span>

#include "lipcast/base/status.h"
#include "lipcast/media/h264_stream.h"
#include "lipcast/media/libav.h"

namespace lipcast::media {

/// The first track of an MP4, of access units that are written as they are. A picture stands until
/// the next one, so it goes into the muxer, which outlives the track, once that is there.
/// Thread: one caller at a time.
class H264Track {
 public:
  /// Before the header is written. The options are valid.
  static Result<H264Track> Create(AVFormatContext* muxer, const H264StreamOptions& options);

  /// H264Form::kAvcc bytes at index / fps. kInvalidArgument for an index that does not grow.
  Status Add(int64_t index, std::span<const uint8_t> access_unit, bool key_frame);
  /// The newest picture stands until `end` / fps, for one frame at least.
  Status Finish(int64_t end);
  int64_t last_index() const { return last_index_; }  ///< -1: none yet

 private:
  H264Track(AVFormatContext* muxer, AVRational time_base) : muxer_(muxer), time_base_(time_base) {}
  Status Mux(int64_t frames);

  AVFormatContext* muxer_;
  AVRational time_base_;
  PacketPtr newest_;  // until it is known how long it stands
  int64_t last_index_ = -1;
};

}  // namespace lipcast::media
