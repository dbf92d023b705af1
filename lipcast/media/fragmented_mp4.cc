#include "lipcast/media/fragmented_mp4.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "lipcast/media/h264_track.h"
#include "lipcast/media/libav.h"
#include "lipcast/media/libav_log.h"
#include "lipcast/media/movie_audio.h"

namespace lipcast::media {
namespace {

struct MuxerDeleter {
  void operator()(AVFormatContext* muxer) const {
    if (muxer->pb) {
      uint8_t* rest = nullptr;
      avio_close_dyn_buf(muxer->pb, &rest);
      av_free(rest);
    }
    avformat_free_context(muxer);
  }
};

class LibavFragmentedMp4 final : public FragmentedMp4 {
 public:
  Status Open(const H264StreamOptions& options) {
    AVFormatContext* muxer = nullptr;
    ClearLibavLog();
    if (const int error = avformat_alloc_output_context2(&muxer, nullptr, "mp4", nullptr);
        error < 0) {
      return LibavStatus(error, "mp4");
    }
    muxer_.reset(muxer);
    LC_ASSIGN_OR_RETURN(H264Track video, H264Track::Create(muxer, options));
    video_.emplace(std::move(video));
    const auto config = options.codec_config;
    mime_type_ =
        fmt::format("video/mp4; codecs=\"avc1.{:02x}{:02x}{:02x}", config[1], config[2], config[3]);
    if (options.audio) {
      LC_ASSIGN_OR_RETURN(audio_,
                          AddAac(muxer, *options.audio, std::nullopt, Priming::kDrop, &notes_));
      mime_type_ += ", mp4a.40.2";
    }
    mime_type_ += '"';
    LC_RETURN_IF_ERROR(OpenBuffer());
    AVDictionary* flags = nullptr;
    av_dict_set(&flags, "movflags", "frag_custom+empty_moov+default_base_moof", 0);
    ClearLibavLog();
    const int error = avformat_write_header(muxer_.get(), &flags);
    av_dict_free(&flags);
    if (error < 0) return LibavStatus(error, "header");
    LC_ASSIGN_OR_RETURN(init_segment_, TakeBytes());
    return NextFragment();
  }

  std::span<const uint8_t> init_segment() const override { return init_segment_; }
  const std::string& mime_type() const override { return mime_type_; }
  const std::vector<std::string>& notes() const override { return notes_; }

  Status AddPicture(int64_t index, std::span<const uint8_t> access_unit, bool key_frame) override {
    LC_RETURN_IF_ERROR(failed_);
    const bool grows = index > video_->last_index();
    const Status added = video_->Add(index, access_unit, key_frame);
    return grows ? failed_ = added : added;
  }

  Status AddSound(std::span<const std::byte> pcm) override {
    LC_RETURN_IF_ERROR(failed_);
    if (!audio_) {
      return failed_ = Status(Code::kFailedPrecondition, "sound for an MP4 without a sound track");
    }
    return failed_ = audio_->Write(pcm);
  }

  Result<std::vector<uint8_t>> TakeFragment() override {
    LC_RETURN_IF_ERROR(failed_);
    auto fragment = Flush();
    failed_ = fragment.status();
    return fragment;
  }

  Result<std::vector<uint8_t>> Finish() override {
    LC_RETURN_IF_ERROR(failed_);
    if (audio_) failed_ = audio_->Flush();
    if (failed_.ok()) failed_ = video_->Finish(video_->last_index() + 1);
    auto fragment = TakeFragment();
    if (failed_.ok()) failed_ = Status(Code::kFailedPrecondition, "the MP4 is finished already");
    return fragment;
  }

 private:
  Status OpenBuffer() {
    const int error = avio_open_dyn_buf(&muxer_->pb);
    return error < 0 ? LibavStatus(error, "MP4 buffer") : Status();
  }

  Result<std::vector<uint8_t>> TakeBytes() {
    avio_flush(muxer_->pb);
    uint8_t* bytes = nullptr;
    const int size = avio_close_dyn_buf(std::exchange(muxer_->pb, nullptr), &bytes);
    std::vector<uint8_t> out(bytes, bytes + size);
    av_free(bytes);
    LC_RETURN_IF_ERROR(OpenBuffer());
    return out;
  }

  /// A fragment begins at its first picture's time, also where that is not 0: a reader may join.
  Status NextFragment() {
    const int error = av_opt_set(muxer_->priv_data, "movflags", "+frag_discont", 0);
    return error < 0 ? LibavStatus(error, "frag_discont") : Status();
  }

  Result<std::vector<uint8_t>> Flush() {
    ClearLibavLog();
    int error = av_interleaved_write_frame(muxer_.get(), nullptr);
    if (error >= 0) error = av_write_frame(muxer_.get(), nullptr);
    if (error < 0) return LibavStatus(error, "fragment");
    LC_RETURN_IF_ERROR(NextFragment());
    return TakeBytes();
  }

  std::unique_ptr<AVFormatContext, MuxerDeleter> muxer_;
  std::optional<H264Track> video_;
  std::unique_ptr<MovieAudio> audio_;
  std::vector<uint8_t> init_segment_;
  std::string mime_type_;
  std::vector<std::string> notes_;
  Status failed_;
};

}  // namespace

Result<std::unique_ptr<FragmentedMp4>> FragmentedMp4::Create(const H264StreamOptions& options) {
  LC_RETURN_IF_ERROR(options.Validate());
  auto mp4 = std::make_unique<LibavFragmentedMp4>();
  LC_RETURN_IF_ERROR(mp4->Open(options));
  return std::unique_ptr<FragmentedMp4>(std::move(mp4));
}

}  // namespace lipcast::media
