#include "lipcast/media/fragmented_mp4.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "lipcast/media/libav.h"
#include "lipcast/media/libav_log.h"
#include "lipcast/media/movie_audio.h"

namespace lipcast::media {
namespace {

constexpr size_t kMinConfigBytes = 7;

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
  Status Open(const FragmentedMp4Options& options) {
    AVFormatContext* muxer = nullptr;
    ClearLibavLog();
    if (const int error = avformat_alloc_output_context2(&muxer, nullptr, "mp4", nullptr);
        error < 0) {
      return LibavStatus(error, "mp4");
    }
    muxer_.reset(muxer);
    LC_RETURN_IF_ERROR(AddVideo(options));
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
    if (index <= last_index_) {
      return Status(Code::kInvalidArgument, "picture " + std::to_string(index) + " after picture " +
                                                std::to_string(last_index_) +
                                                ": want indices that grow");
    }
    if (newest_) LC_RETURN_IF_ERROR(failed_ = Mux(index - last_index_));
    last_index_ = index;
    return failed_ = Keep(index, access_unit, key_frame);
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
    if (failed_.ok() && newest_) failed_ = Mux(1);
    auto fragment = TakeFragment();
    if (failed_.ok()) failed_ = Status(Code::kFailedPrecondition, "the MP4 is finished already");
    return fragment;
  }

 private:
  Status AddVideo(const FragmentedMp4Options& options) {
    AVStream* stream = avformat_new_stream(muxer_.get(), nullptr);
    if (!stream) return Status(Code::kResourceExhausted, "no memory for a video stream");
    time_base_ = {static_cast<int>(options.fps.den), static_cast<int>(options.fps.num)};
    stream->time_base = time_base_;
    stream->avg_frame_rate = av_inv_q(time_base_);
    stream->sample_aspect_ratio = {1, 1};
    AVCodecParameters* codec = stream->codecpar;
    codec->codec_type = AVMEDIA_TYPE_VIDEO;
    codec->codec_id = AV_CODEC_ID_H264;
    codec->width = options.width;
    codec->height = options.height;
    codec->sample_aspect_ratio = {1, 1};
    codec->color_primaries = AVCOL_PRI_BT709;
    codec->color_trc = AVCOL_TRC_BT709;
    codec->color_space = AVCOL_SPC_BT709;
    codec->color_range = AVCOL_RANGE_MPEG;
    const size_t size = options.codec_config.size();
    codec->extradata = static_cast<uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
    if (!codec->extradata) return Status(Code::kResourceExhausted, "no memory for avcC");
    std::memcpy(codec->extradata, options.codec_config.data(), size);
    codec->extradata_size = static_cast<int>(size);
    return {};
  }

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

  Status Keep(int64_t index, std::span<const uint8_t> access_unit, bool key_frame) {
    PacketPtr packet(av_packet_alloc());
    if (!packet || av_new_packet(packet.get(), static_cast<int>(access_unit.size())) < 0) {
      return Status(Code::kResourceExhausted, "no memory for a video packet");
    }
    std::memcpy(packet->data, access_unit.data(), access_unit.size());
    packet->pts = packet->dts = index;
    if (key_frame) packet->flags |= AV_PKT_FLAG_KEY;
    newest_ = std::move(packet);
    return {};
  }

  /// The newest picture, which stands for that many frames.
  Status Mux(int64_t frames) {
    const PacketPtr packet = std::move(newest_);
    packet->duration = frames;
    av_packet_rescale_ts(packet.get(), time_base_, muxer_->streams[0]->time_base);
    ClearLibavLog();
    const int error = av_interleaved_write_frame(muxer_.get(), packet.get());
    return error < 0 ? LibavStatus(error, "writing video") : Status();
  }

  std::unique_ptr<AVFormatContext, MuxerDeleter> muxer_;
  std::unique_ptr<MovieAudio> audio_;
  AVRational time_base_{};
  std::vector<uint8_t> init_segment_;
  std::string mime_type_;
  std::vector<std::string> notes_;
  PacketPtr newest_;  // until it is known how long it stands
  int64_t last_index_ = -1;
  Status failed_;
};

}  // namespace

Result<std::unique_ptr<FragmentedMp4>> FragmentedMp4::Create(const FragmentedMp4Options& options) {
  const auto refuse = [](const std::string& text) { return Status(Code::kInvalidArgument, text); };
  if (options.width < 2 || options.height < 2 || options.width % 2 || options.height % 2) {
    return refuse(fmt::format("size = {}x{}: want even sides", options.width, options.height));
  }
  if (options.fps.num < 1 || options.fps.den < 1) {
    return refuse("fps = " + options.fps.ToString() + ": want 1..120");
  }
  if (options.codec_config.size() < kMinConfigBytes || options.codec_config[0] != 1) {
    return refuse(
        fmt::format("codec_config: {} bytes that are no avcC record", options.codec_config.size()));
  }
  if (options.audio) LC_RETURN_IF_ERROR(options.audio->Validate());
  auto mp4 = std::make_unique<LibavFragmentedMp4>();
  LC_RETURN_IF_ERROR(mp4->Open(options));
  return std::unique_ptr<FragmentedMp4>(std::move(mp4));
}

}  // namespace lipcast::media
