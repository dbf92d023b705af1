#include "lipcast/media/movie_audio.h"

#include <soxr.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "lipcast/media/libav.h"
#include "lipcast/media/libav_log.h"
#include "lipcast/media/sample_convert.h"

namespace lipcast::media {
namespace {

// The rates of MPEG-4's table from lipcast's lowest on.
constexpr std::array<int, 11> kAacRatesHz = {8000,  11025, 12000, 16000, 22050, 24000,
                                             32000, 44100, 48000, 64000, 88200};
constexpr int kAacTopRateHz = 96000;
// Nothing waits longer than this in one conversion step.
constexpr size_t kChunkFrames = 4096;

/// Cuts a byte stream into whole sample frames; the bytes of a cut one wait for the next piece.
class FrameCarry {
 public:
  explicit FrameCarry(size_t frame_bytes) : frame_bytes_(frame_bytes) {}
  template <typename Sink>
  Status Cut(std::span<const std::byte> bytes, Sink&& sink) {
    if (!rest_.empty()) {
      const size_t take = std::min(frame_bytes_ - rest_.size(), bytes.size());
      rest_.insert(rest_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(take));
      bytes = bytes.subspan(take);
      if (rest_.size() < frame_bytes_) return Status();
      LC_RETURN_IF_ERROR(sink(std::span<const std::byte>(rest_)));
      rest_.clear();
    }
    const size_t whole = bytes.size() / frame_bytes_ * frame_bytes_;
    if (whole > 0) LC_RETURN_IF_ERROR(sink(bytes.first(whole)));
    rest_.assign(bytes.begin() + static_cast<ptrdiff_t>(whole), bytes.end());
    return Status();
  }

 private:
  const size_t frame_bytes_;
  std::vector<std::byte> rest_;
};

Status Mux(AVFormatContext* muxer, AVPacket* packet, AVRational time_base, int stream) {
  packet->stream_index = stream;
  av_packet_rescale_ts(packet, time_base, muxer->streams[stream]->time_base);
  ClearLibavLog();
  const int error = av_interleaved_write_frame(muxer, packet);
  return error < 0 ? LibavStatus(error, "writing audio") : Status();
}

uint64_t WavOrderLayout(int channels) {
  constexpr std::array<uint64_t, 8> kLayouts = {
      AV_CH_LAYOUT_MONO,         AV_CH_LAYOUT_STEREO,       AV_CH_LAYOUT_SURROUND,
      AV_CH_LAYOUT_4POINT0,      AV_CH_LAYOUT_5POINT0_BACK, AV_CH_LAYOUT_5POINT1_BACK,
      AV_CH_LAYOUT_6POINT1_BACK, AV_CH_LAYOUT_7POINT1,
  };
  return kLayouts[static_cast<size_t>(channels - 1)];
}

class PcmAudio final : public MovieAudio {
 public:
  PcmAudio(AVFormatContext* muxer, const audio::AudioFormat& format, int64_t packet_samples)
      : muxer_(muxer),
        format_(format),
        frame_bytes_(static_cast<size_t>(format.frame_bytes())),
        packet_bytes_(static_cast<size_t>(packet_samples) * frame_bytes_) {}

  Status Open() {
    AVStream* stream = avformat_new_stream(muxer_, nullptr);
    if (!stream) return Status(Code::kResourceExhausted, "no memory for an audio stream");
    index_ = stream->index;
    stream->time_base = {1, format_.rate_hz};
    AVCodecParameters* codec = stream->codecpar;
    codec->codec_type = AVMEDIA_TYPE_AUDIO;
    codec->codec_id = CodecId();
    codec->sample_rate = format_.rate_hz;
    av_channel_layout_from_mask(&codec->ch_layout, WavOrderLayout(format_.channels));
    codec->bits_per_coded_sample = av_get_bits_per_sample(codec->codec_id);
    codec->block_align = format_.frame_bytes();
    codec->bit_rate = int64_t{8} * format_.frame_bytes() * format_.rate_hz;
    return Status();
  }

  Status Write(std::span<const std::byte> pcm) override {
    while (!pcm.empty()) {
      const size_t take = std::min(pcm.size(), packet_bytes_ - pending_.size());
      pending_.insert(pending_.end(), pcm.begin(), pcm.begin() + static_cast<ptrdiff_t>(take));
      pcm = pcm.subspan(take);
      if (pending_.size() == packet_bytes_) LC_RETURN_IF_ERROR(Send());
    }
    return Status();
  }

  Status Flush() override {
    pending_.resize(pending_.size() / frame_bytes_ * frame_bytes_);
    return pending_.empty() ? Status() : Send();
  }

  std::string codec() const override { return avcodec_get_name(CodecId()); }

 private:
  AVCodecID CodecId() const {
    switch (format_.type) {
      case audio::SampleType::kU8:
        return AV_CODEC_ID_PCM_U8;
      case audio::SampleType::kS16:
        return AV_CODEC_ID_PCM_S16LE;
      case audio::SampleType::kS24:
        return AV_CODEC_ID_PCM_S24LE;
      case audio::SampleType::kS32:
        return AV_CODEC_ID_PCM_S32LE;
      case audio::SampleType::kF32:
        return AV_CODEC_ID_PCM_F32LE;
      case audio::SampleType::kF64:
        return AV_CODEC_ID_PCM_F64LE;
      case audio::SampleType::kMulaw:
        return AV_CODEC_ID_PCM_MULAW;
      case audio::SampleType::kAlaw:
        return AV_CODEC_ID_PCM_ALAW;
    }
    return AV_CODEC_ID_NONE;
  }

  Status Send() {
    PacketPtr packet(av_packet_alloc());
    if (!packet || av_new_packet(packet.get(), static_cast<int>(pending_.size())) < 0) {
      return Status(Code::kResourceExhausted, "no memory for an audio packet");
    }
    std::memcpy(packet->data, pending_.data(), pending_.size());
    packet->pts = packet->dts = samples_;
    packet->duration = static_cast<int64_t>(pending_.size() / frame_bytes_);
    packet->flags |= AV_PKT_FLAG_KEY;
    samples_ += packet->duration;
    pending_.clear();
    return Mux(muxer_, packet.get(), {1, format_.rate_hz}, index_);
  }

  AVFormatContext* const muxer_;
  const audio::AudioFormat format_;
  const size_t frame_bytes_, packet_bytes_;
  std::vector<std::byte> pending_;
  int64_t samples_ = 0;
  int index_ = 0;
};

struct SoxrDeleter {
  void operator()(soxr* resampler) const { soxr_delete(resampler); }
};

class AacAudio final : public MovieAudio {
 public:
  AacAudio(AVFormatContext* muxer, const audio::AudioFormat& format, Priming priming)
      : muxer_(muxer),
        format_(format),
        priming_(priming),
        channels_(static_cast<size_t>(format.channels)),
        carry_(static_cast<size_t>(format.frame_bytes())) {}

  Status Open(std::optional<int64_t> samples, std::vector<std::string>* notes) {
    const AVCodec* encoder = avcodec_find_encoder(AV_CODEC_ID_AAC);
    if (!encoder) return Status(Code::kUnimplemented, "this libav has no AAC encoder");
    rate_hz_ = AacRate(format_.rate_hz);
    if (rate_hz_ != format_.rate_hz) {
      soxr_error_t error = nullptr;
      const soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
      resampler_.reset(soxr_create(format_.rate_hz, rate_hz_, static_cast<unsigned>(channels_),
                                   &error, &io, nullptr, nullptr));
      if (error) return Status(Code::kInternal, std::string("soxr: ") + error);
      notes->push_back("sound resampled from " + std::to_string(format_.rate_hz) + " to " +
                       std::to_string(rate_hz_) +
                       " Hz: AAC has no such rate; MKV keeps the sound as it is");
    }
    encoder_.reset(avcodec_alloc_context3(encoder));
    frame_.reset(av_frame_alloc());
    packet_.reset(av_packet_alloc());
    if (!encoder_ || !frame_ || !packet_) return Status(Code::kResourceExhausted, "no memory");
    encoder_->sample_rate = rate_hz_;
    encoder_->sample_fmt = AV_SAMPLE_FMT_FLTP;
    encoder_->time_base = {1, rate_hz_};
    av_channel_layout_from_mask(&encoder_->ch_layout, WavOrderLayout(format_.channels));
    // 96 kbit/s for speech in one channel; not more than the low rates can carry.
    encoder_->bit_rate = std::min<int64_t>(32'000 + int64_t{64'000} * format_.channels,
                                           int64_t{5} * rate_hz_ * format_.channels);
    if (muxer_->oformat->flags & AVFMT_GLOBALHEADER) {
      encoder_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    }
    ClearLibavLog();
    if (const int error = avcodec_open2(encoder_.get(), encoder, nullptr); error < 0) {
      return LibavStatus(error, "AAC encoder, " + std::to_string(rate_hz_) + " Hz, " +
                                    std::to_string(format_.channels) + " channels");
    }
    AVStream* stream = avformat_new_stream(muxer_, nullptr);
    if (!stream) return Status(Code::kResourceExhausted, "no memory for an audio stream");
    index_ = stream->index;
    stream->time_base = encoder_->time_base;
    if (const int error = avcodec_parameters_from_context(stream->codecpar, encoder_.get());
        error < 0) {
      return LibavStatus(error, "AAC stream");
    }
    if (samples && *samples > 0) {
      const int64_t block = encoder_->frame_size;
      const int64_t sound = OutputSamples(*samples);
      // libav's MP4 reader loses a sound that is no longer than the silence before it.
      const int64_t lead = std::min(block - 1 - (sound - 1) % block, sound - 1);
      pending_.assign(static_cast<size_t>(lead) * channels_, 0);
      samples_ = -lead;
    }
    return Status();
  }

  Status Write(std::span<const std::byte> pcm) override {
    return carry_.Cut(pcm, [&](std::span<const std::byte> whole) {
      const auto frame_bytes = static_cast<size_t>(format_.frame_bytes());
      for (size_t at = 0; at < whole.size(); at += kChunkFrames * frame_bytes) {
        const auto piece =
            whole.subspan(at, std::min(kChunkFrames * frame_bytes, whole.size() - at));
        floats_.resize(piece.size() / frame_bytes * channels_);
        SamplesToFloat(format_.type, piece, floats_);
        LC_RETURN_IF_ERROR(resampler_ ? Resample(floats_.data(), piece.size() / frame_bytes)
                                      : Encode(floats_));
      }
      return Status();
    });
  }

  Status Flush() override {
    if (resampler_) LC_RETURN_IF_ERROR(Resample(nullptr, 0));
    if (!sounded_) return Status();  // an encoder that got nothing has nothing to flush
    if (!pending_.empty()) LC_RETURN_IF_ERROR(SendFrame(pending_.size() / channels_));
    return Drain(nullptr);
  }

  std::string codec() const override { return "aac"; }

 private:
  /// What soxr makes of `samples`.
  int64_t OutputSamples(int64_t samples) const {
    return std::llround(static_cast<double>(samples) * rate_hz_ / format_.rate_hz);
  }

  // Null `input` drains the resampler.
  Status Resample(const float* input, size_t frames) {
    std::vector<float>& out = resampled_;
    for (;;) {
      out.resize(2 * kChunkFrames * channels_);
      size_t used = 0, made = 0;
      if (const soxr_error_t error = soxr_process(resampler_.get(), input, frames, &used,
                                                  out.data(), 2 * kChunkFrames, &made)) {
        return Status(Code::kInternal, std::string("soxr: ") + error);
      }
      out.resize(made * channels_);
      LC_RETURN_IF_ERROR(Encode(out));
      if (input) {
        input += used * channels_;
        frames -= used;
        if (frames == 0) return Status();
      } else if (made == 0) {
        return Status();
      }
    }
  }

  Status Encode(std::span<const float> samples) {
    sounded_ |= !samples.empty();
    const size_t wanted = static_cast<size_t>(encoder_->frame_size) * channels_;
    while (!samples.empty()) {
      const size_t take = std::min(samples.size(), wanted - pending_.size());
      pending_.insert(pending_.end(), samples.begin(),
                      samples.begin() + static_cast<ptrdiff_t>(take));
      samples = samples.subspan(take);
      if (pending_.size() == wanted) {
        LC_RETURN_IF_ERROR(SendFrame(static_cast<size_t>(encoder_->frame_size)));
      }
    }
    return Status();
  }

  Status SendFrame(size_t frames) {
    av_frame_unref(frame_.get());
    frame_->format = AV_SAMPLE_FMT_FLTP;
    frame_->sample_rate = rate_hz_;
    frame_->nb_samples = static_cast<int>(frames);
    av_channel_layout_copy(&frame_->ch_layout, &encoder_->ch_layout);
    if (const int error = av_frame_get_buffer(frame_.get(), 0); error < 0) {
      return LibavStatus(error, "AAC frame");
    }
    for (size_t c = 0; c < channels_; ++c) {
      auto* plane = reinterpret_cast<float*>(frame_->extended_data[c]);
      for (size_t i = 0; i < frames; ++i) plane[i] = pending_[i * channels_ + c];
    }
    frame_->pts = samples_;
    samples_ += static_cast<int64_t>(frames);
    pending_.clear();
    return Drain(frame_.get());
  }

  Status Drain(const AVFrame* frame) {
    ClearLibavLog();
    if (const int error = avcodec_send_frame(encoder_.get(), frame); error < 0) {
      return LibavStatus(error, "AAC encoder");
    }
    for (;;) {
      const int error = avcodec_receive_packet(encoder_.get(), packet_.get());
      if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) return Status();
      if (error < 0) return LibavStatus(error, "AAC encoder");
      if (priming_ == Priming::kDrop && packet_->pts < 0) continue;
      LC_RETURN_IF_ERROR(Mux(muxer_, packet_.get(), encoder_->time_base, index_));
    }
  }

  AVFormatContext* const muxer_;
  const audio::AudioFormat format_;
  const Priming priming_;
  const size_t channels_;
  FrameCarry carry_;
  int rate_hz_ = 0;
  int index_ = 0;
  int64_t samples_ = 0;  // sent to the encoder, from time zero on
  bool sounded_ = false;
  CodecPtr encoder_;
  FramePtr frame_;
  PacketPtr packet_;
  std::unique_ptr<soxr, SoxrDeleter> resampler_;
  std::vector<float> floats_, resampled_, pending_;
};

}  // namespace

int AacRate(int rate_hz) {
  for (const int known : kAacRatesHz) {
    if (rate_hz <= known) return known;
  }
  return rate_hz > kAacTopRateHz && rate_hz % 88200 == 0 ? 88200 : kAacTopRateHz;
}

Result<std::unique_ptr<MovieAudio>> AddAac(AVFormatContext* muxer, const audio::AudioFormat& format,
                                           std::optional<int64_t> samples, Priming priming,
                                           std::vector<std::string>* notes) {
  auto track = std::make_unique<AacAudio>(muxer, format, priming);
  LC_RETURN_IF_ERROR(track->Open(samples, notes));
  return std::unique_ptr<MovieAudio>(std::move(track));
}

Result<std::unique_ptr<MovieAudio>> AddPcm(AVFormatContext* muxer, const audio::AudioFormat& format,
                                           Rational fps) {
  const int64_t samples = std::max<int64_t>(1, FirstSample(1, format.rate_hz, fps));
  auto track = std::make_unique<PcmAudio>(muxer, format, samples);
  LC_RETURN_IF_ERROR(track->Open());
  return std::unique_ptr<MovieAudio>(std::move(track));
}

}  // namespace lipcast::media
