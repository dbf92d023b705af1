#include "lipcast/media/movie_file.h"

#include <numeric>
#include <string>
#include <system_error>
#include <utility>

#include "lipcast/media/libav_log.h"

namespace lipcast::media {
namespace {

constexpr int64_t kMinTimescale = 1000, kMaxTimescale = 10'000'000;

/// Ticks a second that frames and samples both fall on, as far as that is a usual number.
int64_t MovieTimescale(const Rational& fps, const std::optional<audio::AudioFormat>& audio) {
  const int64_t rate = audio ? audio->rate_hz : kMinTimescale;
  const int64_t both = std::lcm(rate, fps.num);
  return both <= kMaxTimescale ? both : std::max(rate, kMinTimescale);
}

}  // namespace

void MovieFile::MuxerDeleter::operator()(AVFormatContext* muxer) const {
  if (muxer->pb) avio_closep(&muxer->pb);
  avformat_free_context(muxer);
}

Result<std::unique_ptr<MovieFile>> MovieFile::Create(MovieContainer container,
                                                     const std::filesystem::path& path,
                                                     bool overwrite) {
  if (path.empty() || path == "-") {
    return Status(Code::kInvalidArgument, "a movie cannot go to '" + path.string() +
                                              "': its index is written last: want a file name");
  }
  LC_ASSIGN_OR_RETURN(TempFile temp, TempFile::Create(path, overwrite));
  std::unique_ptr<MovieFile> file(new MovieFile(container, std::move(temp)));
  const std::string url = "file:" + file->file_.path().string();
  const char* kind = container == MovieContainer::kMp4 ? "mp4" : "matroska";
  AVFormatContext* muxer = nullptr;
  ClearLibavLog();
  const int error = avformat_alloc_output_context2(&muxer, nullptr, kind, url.c_str());
  if (error < 0) return LibavStatus(error, "'" + path.string() + "': " + kind);
  file->muxer_.reset(muxer);
  return file;
}

Status MovieFile::Begin(const Rational& fps, const std::optional<audio::AudioFormat>& audio) {
  ClearLibavLog();
  int error = avio_open(&muxer_->pb, muxer_->url, AVIO_FLAG_WRITE);
  if (error < 0) return LibavStatus(error, "open");
  AVDictionary* flags = nullptr;
  if (container_ == MovieContainer::kMp4) {
    av_dict_set(&flags, "movflags", "+faststart", 0);
    // In the default milliseconds the edit lists would cut or stretch either end.
    av_dict_set_int(&flags, "movie_timescale", MovieTimescale(fps, audio), 0);
  }
  error = avformat_write_header(muxer_.get(), &flags);
  av_dict_free(&flags);
  return error < 0 ? LibavStatus(error, "header") : Status();
}

int64_t MovieFile::bytes() const { return muxer_->pb != nullptr ? avio_tell(muxer_->pb) : bytes_; }

Status MovieFile::Finish() {
  ClearLibavLog();
  int error = av_write_trailer(muxer_.get());
  if (error < 0) return LibavStatus(error, "trailer");
  error = avio_closep(&muxer_->pb);
  if (error < 0) return LibavStatus(error, "close");
  std::error_code failed;
  const auto bytes = std::filesystem::file_size(file_.path(), failed);
  bytes_ = failed ? 0 : static_cast<int64_t>(bytes);
  return file_.Commit();
}

}  // namespace lipcast::media
