#include "lipcast/media/h264_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "lipcast/media/h264_setup.h"
#include "lipcast/media/libav_log.h"
#include "lipcast/media/video_sink.h"

namespace lipcast::media {
namespace {

constexpr const char* kPreset = "superfast";
constexpr int kCrf = 23;
constexpr double kKeyIntervalS = 2;
constexpr int kMinKbps = 50, kMaxKbps = 100'000;
constexpr int kSps = 7, kPps = 8, kDelimiter = 9;
constexpr uint8_t kStartCode[] = {0, 0, 0, 1};

using Bytes = std::span<const uint8_t>;

int NalType(Bytes nal) { return nal[0] & 0x1F; }

/// The NAL units between start codes. Their last byte is never 0.
std::vector<Bytes> SplitAnnexB(Bytes stream) {
  std::vector<Bytes> nals;
  size_t begin = 0;
  const auto close = [&](size_t end) {
    while (end > begin && stream[end - 1] == 0) --end;
    if (begin > 0 && end > begin) nals.push_back(stream.subspan(begin, end - begin));
  };
  for (size_t i = 0; i + 3 <= stream.size(); ++i) {
    if (stream[i] != 0 || stream[i + 1] != 0 || stream[i + 2] != 1) continue;
    close(i);
    begin = i + 3;
    i += 2;
  }
  close(stream.size());
  return nals;
}

void Append(Bytes bytes, std::vector<uint8_t>* out) {
  out->insert(out->end(), bytes.begin(), bytes.end());
}

void AppendSized(Bytes nal, int size_bytes, std::vector<uint8_t>* out) {
  for (int shift = 8 * (size_bytes - 1); shift >= 0; shift -= 8) {
    out->push_back(static_cast<uint8_t>(nal.size() >> shift));
  }
  Append(nal, out);
}

/// ISO/IEC 14496-15, 5.3.3.1. Eight bits a sample, 4:2:0.
std::vector<uint8_t> AvccRecord(Bytes sps, Bytes pps) {
  std::vector<uint8_t> record = {1, sps[1], sps[2], sps[3], 0xFF, 0xE1};
  AppendSized(sps, 2, &record);
  record.push_back(1);
  AppendSized(pps, 2, &record);
  constexpr int kHigh = 100;
  if (sps[1] >= kHigh) {
    for (const int field : {0xFD, 0xF8, 0xF8, 0x00}) {
      record.push_back(static_cast<uint8_t>(field));
    }
  }
  return record;
}

class LibavH264Encoder final : public H264Encoder {
 public:
  explicit LibavH264Encoder(const H264Options& options) : options_(options) {}

  Status Open() {
    LC_ASSIGN_OR_RETURN(const AVCodec* codec, FindH264Encoder(options_.encoder));
    LC_ASSIGN_OR_RETURN(encoder_,
                        NewH264Context(codec, options_.width, options_.height, options_.fps, 1));
    frame_.reset(av_frame_alloc());
    packet_.reset(av_packet_alloc());
    if (!frame_ || !packet_) return Status(Code::kResourceExhausted, "no memory");
    encoder_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    encoder_->max_b_frames = 0;
    encoder_->gop_size =
        std::max(1, static_cast<int>(std::lround(kKeyIntervalS * options_.fps.value())));
    const bool x264 = std::strcmp(codec->name, "libx264") == 0;
    int64_t bit_rate = int64_t{1000} * options_.bitrate_kbps;
    if (bit_rate == 0 && !x264) {
      bit_rate = H264BitRate(options_.width, options_.height, options_.fps);
    }
    AVDictionary* settings = nullptr;
    if (bit_rate > 0) {
      encoder_->bit_rate = encoder_->rc_max_rate = bit_rate;
      encoder_->rc_buffer_size = static_cast<int>(bit_rate);  // one second
    }
    if (x264) {
      av_dict_set(&settings, "preset", kPreset, 0);
      av_dict_set(&settings, "tune", "zerolatency", 0);
      av_dict_set_int(&settings, "forced-idr", 1, 0);
      av_dict_set_int(&settings, "sc_threshold", 0, 0);  // an I frame in between is no key frame
      if (bit_rate == 0) av_dict_set_int(&settings, "crf", kCrf, 0);
    }
    ClearLibavLog();
    const int error = avcodec_open2(encoder_.get(), codec, &settings);
    av_dict_free(&settings);
    if (error < 0) return LibavStatus(error, codec->name);
    return ReadParameterSets();
  }

  Result<AccessUnit> Encode(const PictureView& picture, bool key_frame) override {
    if (picture.format != PixelFormat::kI420 || picture.width != options_.width ||
        picture.height != options_.height) {
      return Status(Code::kInvalidArgument,
                    "picture " + std::to_string(pictures_) + " is " +
                        PixelFormatName(picture.format) + " " + std::to_string(picture.width) +
                        "x" + std::to_string(picture.height) + ": want i420 " +
                        std::to_string(options_.width) + "x" + std::to_string(options_.height));
    }
    LC_RETURN_IF_ERROR(FillH264Frame(picture, *encoder_, frame_.get()));
    frame_->pts = pictures_++;
    frame_->pict_type = key_frame ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    ClearLibavLog();
    int error = avcodec_send_frame(encoder_.get(), frame_.get());
    if (error < 0) return LibavStatus(error, encoder_->codec->name);
    error = avcodec_receive_packet(encoder_.get(), packet_.get());
    if (error < 0) return LibavStatus(error, encoder_->codec->name);
    AccessUnit unit;
    unit.key_frame = (packet_->flags & AV_PKT_FLAG_KEY) != 0;
    Write({packet_->data, static_cast<size_t>(packet_->size)}, &unit);
    av_packet_unref(packet_.get());
    return unit;
  }

  std::span<const uint8_t> codec_config() const override { return codec_config_; }
  int width() const override { return encoder_->width; }
  int height() const override { return encoder_->height; }
  std::optional<std::string> padding() const override {
    return PaddingNote(options_.width, options_.height);
  }

 private:
  Status ReadParameterSets() {
    const Bytes all(encoder_->extradata, static_cast<size_t>(encoder_->extradata_size));
    Bytes sps, pps;
    for (const Bytes nal : SplitAnnexB(all)) {
      if (NalType(nal) == kSps && nal.size() >= 4) sps = nal;
      if (NalType(nal) == kPps) pps = nal;
    }
    if (sps.empty() || pps.empty()) {
      return Status(Code::kInternal, std::string(encoder_->codec->name) + " gave no SPS and PPS");
    }
    codec_config_ = AvccRecord(sps, pps);
    for (const Bytes nal : {sps, pps}) {
      Append(kStartCode, &parameter_sets_);
      Append(nal, &parameter_sets_);
    }
    return {};
  }

  void Write(Bytes packet, AccessUnit* unit) const {
    const bool annex_b = options_.form == H264Form::kAnnexB;
    unit->bytes.reserve(packet.size() + parameter_sets_.size() + 64);
    if (annex_b && unit->key_frame) Append(parameter_sets_, &unit->bytes);
    for (const Bytes nal : SplitAnnexB(packet)) {
      const int type = NalType(nal);
      if (type == kSps || type == kPps || type == kDelimiter) continue;
      if (annex_b) {
        Append(kStartCode, &unit->bytes);
        Append(nal, &unit->bytes);
      } else {
        AppendSized(nal, 4, &unit->bytes);
      }
    }
  }

  const H264Options options_;
  CodecPtr encoder_;
  FramePtr frame_;
  PacketPtr packet_;
  std::vector<uint8_t> codec_config_, parameter_sets_;
  int64_t pictures_ = 0;
};

}  // namespace

Result<std::unique_ptr<H264Encoder>> H264Encoder::Create(const H264Options& options) {
  SinkOptions common;
  common.width = options.width;
  common.height = options.height;
  common.fps = options.fps;
  LC_RETURN_IF_ERROR(common.Validate());
  const int kbps = options.bitrate_kbps;
  if (kbps != 0 && (kbps < kMinKbps || kbps > kMaxKbps)) {
    return Status(Code::kInvalidArgument,
                  "bitrate_kbps = " + std::to_string(kbps) + ": want 0 or 50..100000");
  }
  auto encoder = std::make_unique<LibavH264Encoder>(options);
  LC_RETURN_IF_ERROR(encoder->Open());
  return std::unique_ptr<H264Encoder>(std::move(encoder));
}

}  // namespace lipcast::media
