#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "lipcast/base/clock.h"
#include "lipcast/base/status.h"
#include "lipcast/pipeline/frame_painter.h"
#include "lipcast/server/line_writer.h"

namespace lipcast::server {

enum class TraceFormat { kChrome, kOtlp };

struct TraceOptions {
  std::filesystem::path file;
  TraceFormat format = TraceFormat::kChrome;
  int every = 25;                ///< of each session, every how manieth frame
  int64_t max_bytes = 64 << 20;  ///< the file grows no further
};

/// When the steps of one frame were, on the steady clock. What did not happen is zero.
struct FrameSteps {
  int64_t frame = 0;
  TimePoint due, taken;       ///< when it should have left its session, and when it did
  pipeline::DrawTimes drawn;  ///< often before it was due
  TimePoint encoded_from, encoded_to;
  TimePoint sent;  ///< handed to the transport
};

/// Spans of every nth frame to a file: one JSON for chrome://tracing and Perfetto, or lines of
/// OTLP/JSON, one a frame, as a collector reads them. Built without a file it is off and costs a
/// comparison a frame.
///   frame: draw (generator), encode, send; and the moment the frame was due.
/// The file is made anew, for its owner's eyes; a file that cannot keep up loses frames, not time.
/// Thread: any.
class FrameTrace {
 public:
  FrameTrace() = default;  ///< off
  /// kInvalidArgument: the file cannot be written.
  static Result<std::unique_ptr<FrameTrace>> Open(const TraceOptions& options);
  ~FrameTrace();
  FrameTrace(const FrameTrace&) = delete;
  FrameTrace& operator=(const FrameTrace&) = delete;

  bool Wants(int64_t frame) const {
    return options_.every > 0 && frame % options_.every == 0 &&
           written_.load(std::memory_order_relaxed) < options_.max_bytes;
  }
  void Add(const std::string& session, const std::string& avatar, const FrameSteps& steps);

 private:
  FrameTrace(const TraceOptions& options, int fd);

  const TraceOptions options_{.file = {}, .every = 0};
  const int fd_ = -1;
  /// What a time of the steady clock is on the clock on the wall.
  const std::chrono::nanoseconds to_unix_{0};
  std::atomic<int64_t> written_ = 0;
  std::unique_ptr<LineWriter> writer_;  // null: off
};

}  // namespace lipcast::server
