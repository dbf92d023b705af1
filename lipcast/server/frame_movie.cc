#include "lipcast/server/frame_movie.h"

#include <algorithm>
#include <span>
#include <utility>

#include "lipcast/imaging/compose.h"
#include "lipcast/media/h264_movie.h"
#include "lipcast/media/image_codec.h"
#include "lipcast/media/movie_sink.h"

namespace lipcast::server {
namespace {

/// The pictures of the session's moment must not fall behind: little work for each.
constexpr const char* kPreset = "ultrafast";
/// Of pictures that an encoder keeps back, two seconds at 8 Mbit/s.
constexpr int64_t kEncoderBytes = 2 << 20;

std::span<const uint8_t> BytesOf(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class AsItIs final : public FrameMovie {
 public:
  AsItIs(std::unique_ptr<media::H264Movie> movie, bool annex_b)
      : movie_(std::move(movie)), annex_b_(annex_b) {}

  Status Add(const SentFrame& frame) override {
    if (!frame.sound.empty()) {
      LC_RETURN_IF_ERROR(movie_->AddSound(std::as_bytes(BytesOf(frame.sound))));
    }
    const int64_t index = frames_++;
    if (frame.repeated) return {};
    added_ += static_cast<int64_t>(frame.picture.size());
    if (!annex_b_) return movie_->AddPicture(index, BytesOf(frame.picture), frame.key_frame);
    return movie_->AddPicture(index, media::AvccOfAnnexB(BytesOf(frame.picture)), frame.key_frame);
  }
  int64_t bytes_written() const override { return movie_->bytes_written(); }
  int64_t bytes_waiting() const override {  // for the sound of their time
    return std::max<int64_t>(0, added_ - movie_->bytes_written());
  }
  Result<media::SinkReport> Finish() override { return movie_->Finish(frames_); }

 private:
  const std::unique_ptr<media::H264Movie> movie_;
  const bool annex_b_;
  int64_t frames_ = 0, added_ = 0;
};

class Encoded final : public FrameMovie {
 public:
  Encoded(std::unique_ptr<media::VideoSink> sink, PictureCodec codec, Picture shown)
      : sink_(std::move(sink)), codec_(codec), shown_(std::move(shown)) {}

  Status Add(const SentFrame& frame) override {
    if (!frame.repeated) LC_RETURN_IF_ERROR(Show(frame.picture));
    LC_RETURN_IF_ERROR(sink_->WriteFrame(shown_.view()));
    if (frame.sound.empty()) return {};
    return sink_->WriteAudio(std::as_bytes(BytesOf(frame.sound)));
  }
  int64_t bytes_written() const override { return sink_->bytes_written(); }
  int64_t bytes_waiting() const override { return kEncoderBytes; }
  Result<media::SinkReport> Finish() override { return sink_->Finish(); }

 private:
  Status Show(const std::string& bytes) {
    if (codec_ == PictureCodec::kJpeg || codec_ == PictureCodec::kPng) {
      LC_ASSIGN_OR_RETURN(const Picture picture, media::DecodeImage(BytesOf(bytes)));
      return Convert(picture.view());
    }
    const PixelFormat format = codec_ == PictureCodec::kI420  ? PixelFormat::kI420
                               : codec_ == PictureCodec::kBgr ? PixelFormat::kBgr24
                                                              : PixelFormat::kBgra32;
    const int width = shown_.width(), height = shown_.height();
    if (bytes.size() != PictureBytes(format, width, height)) {
      return Status(Code::kInternal, "a picture of " + std::to_string(bytes.size()) + " bytes");
    }
    if (codec_ != PictureCodec::kRgba) {
      return Convert(PackedView(format, width, height, BytesOf(bytes).data()));
    }
    std::string bgra = bytes;
    for (size_t i = 0; i + 4 <= bgra.size(); i += 4) std::swap(bgra[i], bgra[i + 2]);
    return Convert(PackedView(format, width, height, BytesOf(bgra).data()));
  }
  Status Convert(const PictureView& picture) {
    return imaging::ConvertPicture(picture, shown_.mutable_view(), scratch_);
  }

  const std::unique_ptr<media::VideoSink> sink_;
  const PictureCodec codec_;
  Picture shown_;  // kI420
  imaging::Scratch scratch_;
};

}  // namespace

Result<std::unique_ptr<FrameMovie>> FrameMovie::Create(const std::filesystem::path& path,
                                                       const Options& options) {
  const bool annex_b = options.codec == PictureCodec::kH264AnnexB;
  if (annex_b || options.codec == PictureCodec::kH264Avcc) {
    media::H264StreamOptions stream{options.width, options.height, options.fps, options.avcc,
                                    options.sound};
    LC_ASSIGN_OR_RETURN(auto movie, media::H264Movie::Create(path, stream));
    return std::unique_ptr<FrameMovie>(new AsItIs(std::move(movie), annex_b));
  }
  media::SinkOptions sink;
  sink.path = path;
  sink.fps = options.fps;
  sink.width = options.width;
  sink.height = options.height;
  sink.audio = options.sound;
  sink.preset = kPreset;
  LC_ASSIGN_OR_RETURN(Picture shown,
                      Picture::Create(PixelFormat::kI420, options.width, options.height));
  LC_ASSIGN_OR_RETURN(auto movie, media::CreateMovieSink(media::MovieContainer::kMp4, sink));
  return std::unique_ptr<FrameMovie>(
      new Encoded(std::move(movie), options.codec, std::move(shown)));
}

}  // namespace lipcast::server
