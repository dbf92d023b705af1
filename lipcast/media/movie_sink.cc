#include "lipcast/media/movie_sink.h"

#include <cstring>
#include <utility>

#include "lipcast/media/h264_setup.h"
#include "lipcast/media/libav.h"
#include "lipcast/media/libav_log.h"
#include "lipcast/media/movie_audio.h"
#include "lipcast/media/movie_file.h"

namespace lipcast::media {
namespace {

class MovieSink final : public VideoSink {
 public:
  MovieSink(MovieContainer container, const SinkOptions& options, std::unique_ptr<MovieFile> file)
      : container_(container),
        options_(options),
        name_(options.path.string()),
        file_(std::move(file)) {}

  Status Open() {
    LC_RETURN_IF_ERROR(OpenVideo());
    if (options_.audio) {
      auto track = container_ == MovieContainer::kMp4
                       ? AddAac(muxer(), *options_.audio, options_.audio_samples, Priming::kKeep,
                                &report_.notes)
                       : AddPcm(muxer(), *options_.audio, options_.fps);
      if (!track.ok()) return track.status();
      audio_ = *std::move(track);
    }
    return file_->Begin(options_.fps, options_.audio);
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

  int64_t bytes_written() const override { return file_->bytes(); }
  Result<SinkReport> Finish() override {
    LC_RETURN_IF_ERROR(failed_);
    failed_ = Named(Close());
    LC_RETURN_IF_ERROR(failed_);
    failed_ = Status(Code::kFailedPrecondition, "'" + name_ + "' is finished already");
    return std::move(report_);
  }

 private:
  Status OpenVideo() {
    LC_ASSIGN_OR_RETURN(const AVCodec* codec, FindH264Encoder(options_.h264_encoder));
    LC_ASSIGN_OR_RETURN(encoder_, NewH264Context(codec, options_.width, options_.height,
                                                 options_.fps, options_.threads));
    frame_.reset(av_frame_alloc());
    packet_.reset(av_packet_alloc());
    if (!frame_ || !packet_) return Status(Code::kResourceExhausted, "no memory");
    if (muxer()->oformat->flags & AVFMT_GLOBALHEADER) {
      encoder_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    }
    AVDictionary* settings = nullptr;
    if (std::strcmp(codec->name, "libx264") == 0) {
      av_dict_set(&settings, "preset", options_.preset.c_str(), 0);
      av_dict_set_int(&settings, "crf", options_.crf, 0);
    } else {
      encoder_->bit_rate = H264BitRate(options_.width, options_.height, options_.fps);
      report_.notes.push_back(std::string(codec->name) + " takes no crf: " +
                              std::to_string(encoder_->bit_rate / 1000) + " kbit/s instead");
    }
    const int error = avcodec_open2(encoder_.get(), codec, &settings);
    av_dict_free(&settings);
    if (error < 0) {
      return LibavStatus(error, std::string(codec->name) + ", preset '" + options_.preset + "'");
    }
    AVStream* stream = avformat_new_stream(muxer(), nullptr);
    if (!stream) return Status(Code::kResourceExhausted, "no memory for a video stream");
    stream->time_base = encoder_->time_base;
    stream->avg_frame_rate = encoder_->framerate;
    stream->sample_aspect_ratio = encoder_->sample_aspect_ratio;
    if (const int copied = avcodec_parameters_from_context(stream->codecpar, encoder_.get());
        copied < 0) {
      return LibavStatus(copied, "video stream");
    }
    report_.encoder = codec->name;
    if (auto note = PaddingNote(options_.width, options_.height)) {
      report_.notes.push_back(*std::move(note));
    }
    return Status();
  }

  AVFormatContext* muxer() const { return file_->muxer(); }
  Status Named(const Status& status) const { return status.Prefixed("'" + name_ + "'"); }

  Status EncodeFrame(const PictureView& picture) {
    LC_RETURN_IF_ERROR(FillH264Frame(picture, *encoder_, frame_.get()));
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
      av_packet_rescale_ts(packet_.get(), encoder_->time_base, muxer()->streams[0]->time_base);
      error = av_interleaved_write_frame(muxer(), packet_.get());
      if (error < 0) return LibavStatus(error, "writing video");
    }
  }

  Status Close() {
    if (report_.frames > 0) LC_RETURN_IF_ERROR(Drain(nullptr));
    if (audio_) LC_RETURN_IF_ERROR(audio_->Flush());
    LC_RETURN_IF_ERROR(file_->Finish());
    report_.bytes = file_->bytes();
    if (audio_) report_.encoder += " + " + audio_->codec();
    if (report_.frames == 0) report_.notes.emplace_back("0 frames: the movie is empty");
    return {};
  }

  const MovieContainer container_;
  const SinkOptions options_;
  const std::string name_;
  const std::unique_ptr<MovieFile> file_;
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
  LC_ASSIGN_OR_RETURN(auto file, MovieFile::Create(container, options.path, options.overwrite));
  auto sink = std::make_unique<MovieSink>(container, options, std::move(file));
  LC_RETURN_IF_ERROR(sink->Open().Prefixed("'" + options.path.string() + "'"));
  return std::unique_ptr<VideoSink>(std::move(sink));
}

}  // namespace lipcast::media
