#pragma once

#include <memory>
#include <string>

#include "lipcast/avatar/frame_decoder.h"
#include "lipcast/base/status.h"
#include "lipcast/media/libav.h"

namespace lipcast::media {

/// A demuxer over a file, or over bytes in memory. Only self-contained formats are let in: no
/// playlists, no network, no file that names other files.
class MediaInput {
 public:
  static Result<std::unique_ptr<MediaInput>> Open(const avatar::FileSource& source);
  ~MediaInput();

  AVFormatContext* get() const { return format_; }
  AVFormatContext* operator->() const { return format_; }
  const std::string& name() const { return name_; }  ///< for messages, in quotes
  /// "video h264, audio aac".
  std::string StreamList() const;
  /// The best stream of a kind; the message of kInvalidArgument lists what was found.
  Result<AVStream*> Find(AVMediaType type, const std::string& kind) const;

 private:
  MediaInput() = default;
  static int ReadBytes(void* self, uint8_t* to, int size);
  static int64_t SeekBytes(void* self, int64_t offset, int whence);

  std::string name_;
  std::shared_ptr<const std::vector<uint8_t>> bytes_;
  size_t position_ = 0;
  AVFormatContext* format_ = nullptr;
  AVIOContext* io_ = nullptr;
};

/// A decoder for `stream`, one thread, opened.
Result<CodecPtr> OpenDecoder(const AVStream* stream, const AVCodec* codec, const std::string& name);

}  // namespace lipcast::media
