#include "lipcast/media/video_decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "lipcast/media/frame_converter.h"
#include "lipcast/media/libav.h"
#include "lipcast/media/libav_log.h"
#include "lipcast/media/media_input.h"
#include "lipcast/media/video_timeline.h"

namespace lipcast::media {
namespace {

struct StoredFrame {
  int64_t pts = 0, dts = 0;  // in the stream's time base
  bool key = false;
};

class LibavVideoDecoder final : public VideoDecoder {
 public:
  Status Open(const avatar::FileSource& source) {
    LC_ASSIGN_OR_RETURN(input_, MediaInput::Open(source));
    LC_ASSIGN_OR_RETURN(stream_, input_->Find(AVMEDIA_TYPE_VIDEO, "video"));
    for (unsigned i = 0; i < (*input_)->nb_streams; ++i) {
      AVStream* other = (*input_)->streams[i];
      if (other != stream_) other->discard = AVDISCARD_ALL;
    }
    packet_.reset(av_packet_alloc());
    frame_.reset(av_frame_alloc());
    if (!packet_ || !frame_) return Named(Code::kResourceExhausted, "no memory");
    LC_ASSIGN_OR_RETURN(const AVCodec* codec, ChooseDecoder());
    LC_ASSIGN_OR_RETURN(decoder_, OpenDecoder(stream_, codec, input_->name()));
    LC_RETURN_IF_ERROR(BuildIndex());
    const AVRational rate = av_guess_frame_rate(input_->get(), stream_, nullptr);
    std::vector<int64_t> pts;
    pts.reserve(index_.size());
    for (const StoredFrame& stored : index_) pts.push_back(stored.pts);
    auto timeline =
        MakeTimeline(pts, stream_->time_base.num, stream_->time_base.den, {rate.num, rate.den});
    if (!timeline.ok()) return timeline.status().Prefixed(input_->name());
    timeline_ = *std::move(timeline);
    if (!timeline_.note.empty()) notes_.push_back(timeline_.note);

    LC_RETURN_IF_ERROR(Rewind());
    LC_RETURN_IF_ERROR(DecodeStored(0));
    Orientation orientation;
    size_t matrix_bytes = 0;
    const uint8_t* matrix =
        av_stream_get_side_data(stream_, AV_PKT_DATA_DISPLAYMATRIX, &matrix_bytes);
    if (matrix && matrix_bytes >= 9 * sizeof(int32_t)) {
      int32_t values[9];
      std::memcpy(values, matrix, sizeof values);
      orientation = OrientationFromMatrix(values);
    }
    auto converter = FrameConverter::Create(*frame_, orientation);
    if (!converter.ok()) return converter.status().Prefixed(input_->name());
    converter_ = *std::move(converter);
    if (!converter_->note().empty()) notes_.push_back(converter_->note());
    const AVRational aspect = av_guess_sample_aspect_ratio(input_->get(), stream_, frame_.get());
    if (aspect.num > 0 && aspect.num != aspect.den) {
      notes_.push_back("pixels are not square (" + std::to_string(aspect.num) + ":" +
                       std::to_string(aspect.den) + "): the picture keeps its stored size");
    }
    return Status();
  }

  int width() const override { return converter_->width(); }
  int height() const override { return converter_->height(); }
  Rational fps() const override { return timeline_.fps; }
  int64_t frame_count() const override { return timeline_.frames; }
  PixelFormat format() const override { return converter_->format(); }
  const std::vector<std::string>& notes() const override { return notes_; }

  int64_t KeyFrameBefore(int64_t index) const override {
    if (index < 0 || index >= timeline_.frames) return 0;
    const int64_t wanted = timeline_.StoredFrame(index);
    if (wanted == held_) return index;
    const int64_t key = KeyBefore(wanted);
    const int64_t first = ContinuesTo(wanted, key) ? held_ + 1 : key;
    return std::min(timeline_.FrameShowing(first), index);
  }

  Result<Picture> Decode(int64_t index) override {
    if (index < 0 || index >= timeline_.frames) {
      return Named(Code::kOutOfRange, "frame " + std::to_string(index) + ": want 0.." +
                                          std::to_string(timeline_.frames - 1));
    }
    LC_RETURN_IF_ERROR(Reach(timeline_.StoredFrame(index)));
    auto picture = converter_->Convert(*frame_);
    if (!picture.ok()) {
      return picture.status().Prefixed(input_->name() + ": frame " + std::to_string(index));
    }
    return picture;
  }

 private:
  Status Named(Code code, const std::string& message) const {
    return Status(code, input_->name() + ": " + message);
  }

  // libav's own VP8 and VP9 decoders ignore the alpha that WebM keeps beside the picture.
  Result<const AVCodec*> ChooseDecoder() const {
    const AVDictionaryEntry* tag = av_dict_get(stream_->metadata, "alpha_mode", nullptr, 0);
    if (!tag || std::strcmp(tag->value, "1") != 0) return nullptr;
    const bool vp9 = stream_->codecpar->codec_id == AV_CODEC_ID_VP9;
    if (!vp9 && stream_->codecpar->codec_id != AV_CODEC_ID_VP8) return nullptr;
    const char* name = vp9 ? "libvpx-vp9" : "libvpx";
    const AVCodec* codec = avcodec_find_decoder_by_name(name);
    if (codec) return codec;
    return Named(Code::kUnimplemented,
                 std::string("video with alpha: this libav lacks the decoder ") + name);
  }

  Status BuildIndex() {
    ClearLibavLog();
    int64_t broken = 0;
    int error = 0;
    for (;;) {
      error = av_read_frame(input_->get(), packet_.get());
      if (error < 0) break;
      if (packet_->stream_index == stream_->index) {
        if (packet_->flags & AV_PKT_FLAG_CORRUPT) ++broken;
        if (!(packet_->flags & AV_PKT_FLAG_DISCARD) && packet_->size > 0) AddToIndex(*packet_);
      }
      av_packet_unref(packet_.get());
    }
    std::stable_sort(index_.begin(), index_.end(),
                     [](const StoredFrame& a, const StoredFrame& b) { return a.pts < b.pts; });
    index_.erase(
        std::unique(index_.begin(), index_.end(),
                    [](const StoredFrame& a, const StoredFrame& b) { return a.pts == b.pts; }),
        index_.end());
    const int64_t found = static_cast<int64_t>(index_.size()) - broken;
    const int64_t promised = stream_->nb_frames;
    const std::string log = FirstLibavError();
    const bool cut =
        error != AVERROR_EOF || broken > 0 || log.find("ended prematurely") != std::string::npos;
    if (cut) {
      return Named(Code::kDataLoss, "ends early: " + std::to_string(std::max<int64_t>(found, 0)) +
                                        (promised > 0 ? " of " + std::to_string(promised) : "") +
                                        " frames are there" +
                                        (log.empty() ? "" : " (" + log + ")"));
    }
    if (index_.empty()) return Named(Code::kInvalidArgument, "the video stream has 0 frames");
    return Status();
  }

  void AddToIndex(const AVPacket& packet) {
    const int64_t pts = packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
    const int64_t dts = packet.dts != AV_NOPTS_VALUE ? packet.dts : pts;
    if (pts == AV_NOPTS_VALUE) return;
    index_.push_back({pts, dts, (packet.flags & AV_PKT_FLAG_KEY) != 0});
  }

  Status Rewind() {
    ClearLibavLog();
    int error =
        av_seek_frame(input_->get(), stream_->index, index_.front().dts, AVSEEK_FLAG_BACKWARD);
    if (error < 0) error = avformat_seek_file(input_->get(), -1, INT64_MIN, 0, 0, 0);
    if (error < 0) error = av_seek_frame(input_->get(), -1, 0, AVSEEK_FLAG_BYTE);
    if (error < 0) return LibavStatus(error, input_->name() + ": going back to the beginning");
    avcodec_flush_buffers(decoder_.get());
    draining_ = false;
    held_ = -1;
    return Status();
  }

  int64_t KeyBefore(int64_t stored) const {
    while (stored > 0 && !index_[static_cast<size_t>(stored)].key) --stored;
    return stored;
  }

  /// Going on from the held frame meets `wanted` no later than a seek to `key` would.
  bool ContinuesTo(int64_t wanted, int64_t key) const {
    return held_ >= 0 && wanted > held_ && key <= held_ + 1;
  }

  Status Reach(int64_t wanted) {
    if (wanted == held_) return Status();
    const int64_t key = KeyBefore(wanted);
    if (ContinuesTo(wanted, key)) return DecodeStored(wanted);
    if (key > 0) {
      const int error = av_seek_frame(input_->get(), stream_->index,
                                      index_[static_cast<size_t>(key)].dts, AVSEEK_FLAG_BACKWARD);
      if (error >= 0) {
        avcodec_flush_buffers(decoder_.get());
        draining_ = false;
        held_ = -1;
        if (DecodeStored(wanted).ok()) return Status();
      }
      // A container without exact seeking: from the start it is found for certain.
    }
    LC_RETURN_IF_ERROR(Rewind());
    return DecodeStored(wanted);
  }

  /// Decodes on until stored frame `wanted` lies in frame_.
  Status DecodeStored(int64_t wanted) {
    const int64_t pts = index_[static_cast<size_t>(wanted)].pts;
    ClearLibavLog();
    for (;;) {
      int error = avcodec_receive_frame(decoder_.get(), frame_.get());
      if (error == AVERROR(EAGAIN)) {
        LC_RETURN_IF_ERROR(Feed());
        continue;
      }
      if (error == AVERROR_EOF) break;
      if (error < 0) return Lost(wanted, LibavStatus(error, "decoder").message());
      if (frame_->best_effort_timestamp < pts) continue;
      if (frame_->best_effort_timestamp > pts) break;
      if (frame_->decode_error_flags != 0 || (frame_->flags & AV_FRAME_FLAG_CORRUPT)) {
        return Lost(wanted, "its data is damaged");
      }
      held_ = wanted;
      return Status();
    }
    const std::string log = FirstLibavError();
    return Lost(wanted, "it did not come out of the decoder" +
                            (log.empty() ? std::string() : " (" + log + ")"));
  }

  Status Lost(int64_t stored, const std::string& why) {
    held_ = -1;
    return Named(Code::kDataLoss, "stored frame " + std::to_string(stored) + " of " +
                                      std::to_string(index_.size()) + ": " + why);
  }

  Status Feed() {
    if (draining_) return Named(Code::kInternal, "the decoder asks for data after the end");
    for (;;) {
      int error = av_read_frame(input_->get(), packet_.get());
      if (error == AVERROR_EOF) {
        draining_ = true;
        error = avcodec_send_packet(decoder_.get(), nullptr);
        return error < 0 ? LibavStatus(error, input_->name()) : Status();
      }
      if (error < 0) return LibavStatus(error, input_->name());
      const bool ours = packet_->stream_index == stream_->index;
      if (ours) error = avcodec_send_packet(decoder_.get(), packet_.get());
      av_packet_unref(packet_.get());
      if (!ours) continue;
      // A packet the decoder refuses shows as a frame that does not come out.
      return error < 0 && error != AVERROR_INVALIDDATA ? LibavStatus(error, input_->name())
                                                       : Status();
    }
  }

  std::unique_ptr<MediaInput> input_;
  AVStream* stream_ = nullptr;
  CodecPtr decoder_;
  PacketPtr packet_;
  FramePtr frame_;
  std::vector<StoredFrame> index_;  // by pts
  VideoTimeline timeline_;
  std::optional<FrameConverter> converter_;
  std::vector<std::string> notes_;
  int64_t held_ = -1;  // the stored frame in frame_; -1: none
  bool draining_ = false;
};

}  // namespace

Result<std::unique_ptr<VideoDecoder>> OpenVideoDecoder(const avatar::FileSource& source) {
  auto decoder = std::make_unique<LibavVideoDecoder>();
  LC_RETURN_IF_ERROR(decoder->Open(source));
  return std::unique_ptr<VideoDecoder>(std::move(decoder));
}

Result<std::unique_ptr<avatar::FrameDecoder>> OpenVideo(const avatar::FileSource& source) {
  LC_ASSIGN_OR_RETURN(std::unique_ptr<VideoDecoder> decoder, OpenVideoDecoder(source));
  return std::unique_ptr<avatar::FrameDecoder>(std::move(decoder));
}

}  // namespace lipcast::media
