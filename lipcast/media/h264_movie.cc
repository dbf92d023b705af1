#include "lipcast/media/h264_movie.h"

#include <optional>
#include <string>
#include <utility>

#include "lipcast/media/h264_track.h"
#include "lipcast/media/movie_audio.h"
#include "lipcast/media/movie_file.h"

namespace lipcast::media {
namespace {

class LibavH264Movie final : public H264Movie {
 public:
  LibavH264Movie(std::string name, std::unique_ptr<MovieFile> file)
      : name_(std::move(name)), file_(std::move(file)) {}

  Status Open(const H264StreamOptions& options) {
    LC_ASSIGN_OR_RETURN(H264Track video, H264Track::Create(file_->muxer(), options));
    video_.emplace(std::move(video));
    if (options.audio) {
      LC_ASSIGN_OR_RETURN(audio_, AddAac(file_->muxer(), *options.audio, std::nullopt,
                                         Priming::kKeep, &report_.notes));
    }
    return file_->Begin(options.fps, options.audio);
  }

  Status AddPicture(int64_t index, std::span<const uint8_t> access_unit, bool key_frame) override {
    LC_RETURN_IF_ERROR(failed_);
    const bool grows = index > video_->last_index();
    const Status added = Named(video_->Add(index, access_unit, key_frame));
    return grows ? failed_ = added : added;
  }

  Status AddSound(std::span<const std::byte> pcm) override {
    LC_RETURN_IF_ERROR(failed_);
    if (!audio_) {
      return failed_ =
                 Named(Status(Code::kFailedPrecondition, "sound for an MP4 without a sound track"));
    }
    return failed_ = Named(audio_->Write(pcm));
  }

  int64_t bytes_written() const override { return file_->bytes(); }

  Result<SinkReport> Finish(int64_t frames) override {
    LC_RETURN_IF_ERROR(failed_);
    LC_RETURN_IF_ERROR(failed_ = Named(Close(frames)));
    failed_ = Named(Status(Code::kFailedPrecondition, "finished already"));
    report_.frames = frames;
    report_.bytes = file_->bytes();
    report_.encoder = audio_ ? "h264 as it came + " + audio_->codec() : "h264 as it came";
    return std::move(report_);
  }

 private:
  Status Close(int64_t frames) {
    if (audio_) LC_RETURN_IF_ERROR(audio_->Flush());
    LC_RETURN_IF_ERROR(video_->Finish(frames));
    return file_->Finish();
  }
  Status Named(const Status& status) const { return status.Prefixed("'" + name_ + "'"); }

  const std::string name_;
  const std::unique_ptr<MovieFile> file_;
  std::optional<H264Track> video_;
  std::unique_ptr<MovieAudio> audio_;
  SinkReport report_;
  Status failed_;
};

}  // namespace

Result<std::unique_ptr<H264Movie>> H264Movie::Create(const std::filesystem::path& path,
                                                     const H264StreamOptions& options) {
  LC_RETURN_IF_ERROR(options.Validate());
  LC_ASSIGN_OR_RETURN(auto file, MovieFile::Create(MovieContainer::kMp4, path, false));
  auto movie = std::make_unique<LibavH264Movie>(path.string(), std::move(file));
  LC_RETURN_IF_ERROR(movie->Open(options).Prefixed("'" + path.string() + "'"));
  return std::unique_ptr<H264Movie>(std::move(movie));
}

}  // namespace lipcast::media
