#pragma once

#include <memory>
#include <string>

#include "lipcast/base/status.h"
#include "lipcast/server/speech_stream.h"

namespace lipcast::server {

enum class LiveOutputKind {
  kMjpeg,  ///< multipart/x-mixed-replace of JPEGs, without sound
  kFmp4,   ///< fragmented MP4, H.264 and AAC, for <video> and MediaSource
};

/// "mjpeg", "fmp4".
std::string LiveOutputName(LiveOutputKind kind);
/// kInvalidArgument: "output = 'x': want fmp4 or mjpeg".
Result<LiveOutputKind> ParseLiveOutput(const std::string& name);
/// Pictures and sound as the output of that kind takes them.
void SetOutput(LiveOutputKind kind, StreamOptions* options);

/// The frames of one stream as the bytes of one HTTP answer, from the frame it begins with on.
/// Thread: one caller at a time.
class LiveOutput {
 public:
  static Result<std::unique_ptr<LiveOutput>> Create(LiveOutputKind kind,
                                                    const SpeechStream& stream);
  virtual ~LiveOutput() = default;

  virtual const std::string& content_type() const = 0;
  /// What stands before all frames.
  virtual std::string Head() const = 0;
  /// Empty where the frame adds nothing: a repeat of a JPEG, what comes before the first key frame.
  virtual Result<std::string> Add(const StreamEvent& frame) = 0;
  virtual Result<std::string> Finish() = 0;
};

}  // namespace lipcast::server
