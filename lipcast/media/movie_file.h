#pragma once

// Included by .cc files of media/ only.

#include <filesystem>
#include <memory>
#include <optional>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"
#include "lipcast/media/libav.h"
#include "lipcast/media/movie_sink.h"
#include "lipcast/media/temp_file.h"

namespace lipcast::media {

/// The file that a movie is written to: a muxer on a temporary file, which gets its name when it
/// is whole. Create, add the tracks to muxer(), Begin, write, Finish.
/// Thread: one caller at a time.
class MovieFile {
 public:
  /// kInvalidArgument for what can be no such file; errno's reason where it cannot be made.
  static Result<std::unique_ptr<MovieFile>> Create(MovieContainer container,
                                                   const std::filesystem::path& path,
                                                   bool overwrite);
  AVFormatContext* muxer() const { return muxer_.get(); }
  /// Writes the head. `fps` and `audio` are those of the tracks.
  Status Begin(const Rational& fps, const std::optional<audio::AudioFormat>& audio);
  int64_t bytes() const;  ///< so far, then of the file
  Status Finish();

 private:
  struct MuxerDeleter {
    void operator()(AVFormatContext* muxer) const;
  };
  MovieFile(MovieContainer container, TempFile file)
      : container_(container), file_(std::move(file)) {}

  const MovieContainer container_;
  TempFile file_;
  std::unique_ptr<AVFormatContext, MuxerDeleter> muxer_;
  int64_t bytes_ = 0;
};

}  // namespace lipcast::media
