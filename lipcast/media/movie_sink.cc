#include "lipcast/media/movie_sink.h"

#include <cstring>
#include <numeric>
#include <system_error>
#include <utility>

#include "lipcast/media/libav.h"
#include "lipcast/media/libav_log.h"
#include "lipcast/media/movie_audio.h"
#include "lipcast/media/temp_file.h"

namespace lipcast::media {
namespace {

// For encoders without a constant-quality mode: bits per pixel that keep a face clean.
constexpr double kBitsPerPixel = 0.12;
constexpr int64_t kMinBitRate = 200'000;
constexpr int64_t kMinTimescale = 1000, kMaxTimescale = 10'000'000;

struct MuxerDeleter {
  void operator()(AVFormatContext* muxer) const {
    if (muxer->pb) avio_closep(&muxer->pb);
    avformat_free_context(muxer);
  }
};

Result<const AVCodec*> FindEncoder(const std::string& name) {
  if (!name.empty()) {
    const AVCodec* encoder = avcodec_find_encoder_by_name(name.c_str());
    if (encoder && encoder->id == AV_CODEC_ID_H264) return encoder;
    return Status(encoder ? Code::kInvalidArgument : Code::kUnimplemented,
                  "h264_encoder '" + name +
                      "': " + (encoder ? "not an H.264 encoder" : "this libav does not have it") +
                      ": want e.g. libx264 or libopenh264");
  }
  for (const char* candidate : {"libx264", "libopenh264"}) {
    if (const AVCodec* encoder = avcodec_find_encoder_by_name(candidate)) return encoder;
  }
  return Status(Code::kUnimplemented, "this libav has neither libx264 nor libopenh264");
}

class MovieSink final : public VideoSink {
 public:
  MovieSink(MovieContainer container, const SinkOptions& options, TempFile file)
      : container_(container),
        options_(options),
        name_(options.path.string()),
        padded_width_((options.width + 1) & ~1),
        padded_height_((options.height + 1) & ~1),
        file_(std::move(file)) {}

  Status Open() {
    AVFormatContext* muxer = nullptr;
    const std::string url = "file:" + file_.path().string();
    const char* kind = container_ == MovieContainer::kMp4 ? "mp4" : "matroska";
    ClearLibavLog();
    int error = avformat_alloc_output_context2(&muxer, nullptr, kind, url.c_str());
    if (error < 0) return LibavStatus(error, kind);
    muxer_.reset(muxer);
    LC_RETURN_IF_ERROR(OpenVideo());
    if (options_.audio) {
      auto track = container_ == MovieContainer::kMp4
                       ? AddAac(muxer, *options_.audio, options_.audio_samples, &report_.notes)
                       : AddPcm(muxer, *options_.audio, options_.fps);
      if (!track.ok()) return track.status();
      audio_ = *std::move(track);
    }
    error = avio_open(&muxer_->pb, url.c_str(), AVIO_FLAG_WRITE);
    if (error < 0) return LibavStatus(error, "open");
    AVDictionary* flags = nullptr;
    if (container_ == MovieContainer::kMp4) {
      av_dict_set(&flags, "movflags", "+faststart", 0);
      // In the default milliseconds the edit lists would cut or stretch either end.
      av_dict_set_int(&flags, "movie_timescale", MovieTimescale(), 0);
    }
    error = avformat_write_header(muxer_.get(), &flags);
    av_dict_free(&flags);
    return error < 0 ? LibavStatus(error, "header") : Status();
  }

  PixelFormat wanted_format() const override { return PixelFormat::kI420; }

  Status WriteFrame(const PictureView& picture) override {
    LC_RETURN_IF_ERROR(failed_);
    const PixelFormat format = PixelFormat::kI420;
    failed_ = CheckFrame(picture, {&format, 1}, options_, name_, report_.frames);
    if (failed_.ok()) failed_ = Named(EncodeFrame(picture));
    return failed_;
  }

  Status WriteAudio(std::span<const std::byte> pcm) override {
    LC_RETURN_IF_ERROR(failed_);
    if (!audio_) {
      return failed_ = Status(Code::kFailedPrecondition,
                              "'" + name_ + "': sound for a movie opened without an audio format");
    }
    return failed_ = Named(audio_->Write(pcm));
  }

  Result<SinkReport> Finish() override {
    LC_RETURN_IF_ERROR(failed_);
    failed_ = Named(Close());
    LC_RETURN_IF_ERROR(failed_);
    failed_ = Status(Code::kFailedPrecondition, "'" + name_ + "' is finished already");
    return std::move(report_);
  }

 private:
  Status OpenVideo() {
    LC_ASSIGN_OR_RETURN(const AVCodec* codec, FindEncoder(options_.h264_encoder));
    encoder_.reset(avcodec_alloc_context3(codec));
    frame_.reset(av_frame_alloc());
    packet_.reset(av_packet_alloc());
    if (!encoder_ || !frame_ || !packet_) return Status(Code::kResourceExhausted, "no memory");
    encoder_->width = padded_width_;
    encoder_->height = padded_height_;
    encoder_->pix_fmt = AV_PIX_FMT_YUV420P;
    encoder_->time_base = {static_cast<int>(options_.fps.den), static_cast<int>(options_.fps.num)};
    encoder_->framerate = av_inv_q(encoder_->time_base);
    encoder_->sample_aspect_ratio = {1, 1};
    encoder_->color_primaries = AVCOL_PRI_BT709;
    encoder_->color_trc = AVCOL_TRC_BT709;
    encoder_->colorspace = AVCOL_SPC_BT709;
    encoder_->color_range = AVCOL_RANGE_MPEG;
    encoder_->chroma_sample_location = AVCHROMA_LOC_LEFT;
    encoder_->thread_count = options_.threads;
    if (muxer_->oformat->flags & AVFMT_GLOBALHEADER) {
      encoder_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    }
    AVDictionary* settings = nullptr;
    if (std::strcmp(codec->name, "libx264") == 0) {
      av_dict_set(&settings, "preset", options_.preset.c_str(), 0);
      av_dict_set_int(&settings, "crf", options_.crf, 0);
    } else {
      encoder_->bit_rate =
          std::max(kMinBitRate, static_cast<int64_t>(kBitsPerPixel * padded_width_ *
                                                     padded_height_ * options_.fps.value()));
      report_.notes.push_back(std::string(codec->name) + " takes no crf: " +
                              std::to_string(encoder_->bit_rate / 1000) + " kbit/s instead");
    }
    const int error = avcodec_open2(encoder_.get(), codec, &settings);
    av_dict_free(&settings);
    if (error < 0) {
      return LibavStatus(error, std::string(codec->name) + ", preset '" + options_.preset + "'");
    }
    AVStream* stream = avformat_new_stream(muxer_.get(), nullptr);
    if (!stream) return Status(Code::kResourceExhausted, "no memory for a video stream");
    stream->time_base = encoder_->time_base;
    stream->avg_frame_rate = encoder_->framerate;
    stream->sample_aspect_ratio = encoder_->sample_aspect_ratio;
    if (const int copied = avcodec_parameters_from_context(stream->codecpar, encoder_.get());
        copied < 0) {
      return LibavStatus(copied, "video stream");
    }
    report_.encoder = codec->name;
    if (padded_width_ != options_.width || padded_height_ != options_.height) {
      report_.notes.push_back(Size(options_.width, options_.height) + " padded to " +
                              Size(padded_width_, padded_height_) +
                              " by repeating the edge: H.264 wants even sides");
    }
    return Status();
  }

  /// Ticks a second that frames and samples both fall on, as far as that is a usual number.
  int64_t MovieTimescale() const {
    const int64_t rate = options_.audio ? options_.audio->rate_hz : kMinTimescale;
    const int64_t both = std::lcm(rate, options_.fps.num);
    return both <= kMaxTimescale ? both : std::max(rate, kMinTimescale);
  }

  static std::string Size(int width, int height) {
    return std::to_string(width) + "x" + std::to_string(height);
  }

  Status Named(const Status& status) const { return status.Prefixed("'" + name_ + "'"); }

  Status EncodeFrame(const PictureView& picture) {
    if (!frame_->buf[0]) {
      frame_->format = AV_PIX_FMT_YUV420P;
      frame_->width = padded_width_;
      frame_->height = padded_height_;
      frame_->color_range = encoder_->color_range;
      frame_->colorspace = encoder_->colorspace;
      frame_->color_primaries = encoder_->color_primaries;
      frame_->color_trc = encoder_->color_trc;
      if (const int error = av_frame_get_buffer(frame_.get(), 0); error < 0) {
        return LibavStatus(error, "video frame");
      }
    }
    if (const int error = av_frame_make_writable(frame_.get()); error < 0) {
      return LibavStatus(error, "video frame");
    }
    for (int p = 0; p < 3; ++p) {
      const int bytes = PlaneWidthBytes(picture.format, p, picture.width);
      const int rows = PlaneHeight(picture.format, p, picture.height);
      const int padded_bytes = PlaneWidthBytes(picture.format, p, padded_width_);
      const int padded_rows = PlaneHeight(picture.format, p, padded_height_);
      for (int y = 0; y < padded_rows; ++y) {
        uint8_t* to = frame_->data[p] + static_cast<ptrdiff_t>(y) * frame_->linesize[p];
        const uint8_t* from = picture.plane[p] + std::min(y, rows - 1) * picture.stride[p];
        std::memcpy(to, from, static_cast<size_t>(bytes));
        for (int x = bytes; x < padded_bytes; ++x) to[x] = to[bytes - 1];
      }
    }
    frame_->pts = report_.frames;
    LC_RETURN_IF_ERROR(Drain(frame_.get()));
    ++report_.frames;
    return Status();
  }

  Status Drain(const AVFrame* frame) {
    ClearLibavLog();
    if (const int error = avcodec_send_frame(encoder_.get(), frame); error < 0) {
      return LibavStatus(error, report_.encoder);
    }
    for (;;) {
      int error = avcodec_receive_packet(encoder_.get(), packet_.get());
      if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) return Status();
      if (error < 0) return LibavStatus(error, report_.encoder);
      if (packet_->duration == 0) packet_->duration = 1;
      packet_->stream_index = 0;
      av_packet_rescale_ts(packet_.get(), encoder_->time_base, muxer_->streams[0]->time_base);
      error = av_interleaved_write_frame(muxer_.get(), packet_.get());
      if (error < 0) return LibavStatus(error, "writing video");
    }
  }

  Status Close() {
    if (report_.frames > 0) LC_RETURN_IF_ERROR(Drain(nullptr));
    if (audio_) LC_RETURN_IF_ERROR(audio_->Flush());
    ClearLibavLog();
    int error = av_write_trailer(muxer_.get());
    if (error < 0) return LibavStatus(error, "trailer");
    error = avio_closep(&muxer_->pb);
    if (error < 0) return LibavStatus(error, "close");
    std::error_code failed;
    const auto bytes = std::filesystem::file_size(file_.path(), failed);
    report_.bytes = failed ? 0 : static_cast<int64_t>(bytes);
    if (audio_) report_.encoder += " + " + audio_->codec();
    if (report_.frames == 0) report_.notes.emplace_back("0 frames: the movie is empty");
    return file_.Commit();
  }

  const MovieContainer container_;
  const SinkOptions options_;
  const std::string name_;
  const int padded_width_, padded_height_;
  TempFile file_;
  std::unique_ptr<AVFormatContext, MuxerDeleter> muxer_;
  std::unique_ptr<MovieAudio> audio_;
  CodecPtr encoder_;
  FramePtr frame_;
  PacketPtr packet_;
  SinkReport report_;
  Status failed_;
};

}  // namespace

Result<std::unique_ptr<VideoSink>> CreateMovieSink(MovieContainer container,
                                                   const SinkOptions& options) {
  LC_RETURN_IF_ERROR(options.Validate());
  if (options.path.empty() || options.path == "-") {
    return Status(Code::kInvalidArgument, "a movie cannot go to '" + options.path.string() +
                                              "': its index is written last: want a file name");
  }
  LC_ASSIGN_OR_RETURN(TempFile file, TempFile::Create(options.path, options.overwrite));
  auto sink = std::make_unique<MovieSink>(container, options, std::move(file));
  LC_RETURN_IF_ERROR(sink->Open().Prefixed("'" + options.path.string() + "'"));
  return std::unique_ptr<VideoSink>(std::move(sink));
}

}  // namespace lipcast::media
