#include "lipcast/media/h264_track.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "lipcast/media/libav_log.h"

namespace lipcast::media {

Result<H264Track> H264Track::Create(AVFormatContext* muxer, const H264StreamOptions& options) {
  AVStream* stream = avformat_new_stream(muxer, nullptr);
  if (!stream) return Status(Code::kResourceExhausted, "no memory for a video stream");
  const AVRational time_base{static_cast<int>(options.fps.den), static_cast<int>(options.fps.num)};
  stream->time_base = time_base;
  stream->avg_frame_rate = av_inv_q(time_base);
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
  return H264Track(muxer, time_base);
}

Status H264Track::Add(int64_t index, std::span<const uint8_t> access_unit, bool key_frame) {
  if (index <= last_index_) {
    return Status(Code::kInvalidArgument, "picture " + std::to_string(index) + " after picture " +
                                              std::to_string(last_index_) +
                                              ": want indices that grow");
  }
  if (newest_) LC_RETURN_IF_ERROR(Mux(index - last_index_));
  last_index_ = index;
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

Status H264Track::Finish(int64_t end) {
  return newest_ ? Mux(std::max<int64_t>(1, end - last_index_)) : Status();
}

/// The newest picture, which stands for that many frames.
Status H264Track::Mux(int64_t frames) {
  const PacketPtr packet = std::move(newest_);
  packet->duration = frames;
  av_packet_rescale_ts(packet.get(), time_base_, muxer_->streams[0]->time_base);
  ClearLibavLog();
  const int error = av_interleaved_write_frame(muxer_, packet.get());
  return error < 0 ? LibavStatus(error, "writing video") : Status();
}

}  // namespace lipcast::media
