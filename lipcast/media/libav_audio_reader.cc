#include "lipcast/media/libav_audio_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "lipcast/media/libav.h"
#include "lipcast/media/libav_log.h"
#include "lipcast/media/media_input.h"

namespace lipcast::media {
namespace {

constexpr int64_t kMaxHoleSeconds = 600;
constexpr int64_t kHoleMilliseconds = 50;  // shorter ones are rounding of the container's times

Result<audio::SampleType> TypeOf(AVSampleFormat format) {
  switch (av_get_packed_sample_fmt(format)) {
    case AV_SAMPLE_FMT_U8:
      return audio::SampleType::kU8;
    case AV_SAMPLE_FMT_S16:
      return audio::SampleType::kS16;
    case AV_SAMPLE_FMT_S32:
      return audio::SampleType::kS32;
    case AV_SAMPLE_FMT_FLT:
      return audio::SampleType::kF32;
    case AV_SAMPLE_FMT_DBL:
      return audio::SampleType::kF64;
    default:
      return Status(Code::kUnimplemented, "samples of 64-bit integers");
  }
}

class LibavAudioReader final : public audio::AudioReader {
 public:
  Status Open(const std::filesystem::path& path) {
    LC_ASSIGN_OR_RETURN(input_, MediaInput::Open({path, nullptr}));
    LC_ASSIGN_OR_RETURN(stream_, input_->Find(AVMEDIA_TYPE_AUDIO, "audio"));
    for (unsigned i = 0; i < (*input_)->nb_streams; ++i) {
      AVStream* other = (*input_)->streams[i];
      if (other != stream_) other->discard = AVDISCARD_ALL;
    }
    packet_.reset(av_packet_alloc());
    frame_.reset(av_frame_alloc());
    if (!packet_ || !frame_) return Named(Code::kResourceExhausted, "no memory");
    LC_ASSIGN_OR_RETURN(decoder_, OpenDecoder(stream_, nullptr, input_->name()));
    description_ = std::string(avcodec_get_name(stream_->codecpar->codec_id)) + " in " +
                   (*input_)->iformat->long_name;
    const int64_t start = (*input_)->start_time;
    origin_us_ = start == AV_NOPTS_VALUE ? 0 : std::max<int64_t>(start, 0);
    // The first frame tells what the decoder really makes (HE-AAC doubles the declared rate).
    LC_ASSIGN_OR_RETURN(const bool any, DecodeNext());
    format_.rate_hz = any ? frame_->sample_rate : stream_->codecpar->sample_rate;
    format_.channels =
        any ? frame_->ch_layout.nb_channels : stream_->codecpar->ch_layout.nb_channels;
    sample_format_ = any ? static_cast<AVSampleFormat>(frame_->format) : AV_SAMPLE_FMT_S16;
    auto type = TypeOf(sample_format_);
    if (!type.ok()) return type.status().Prefixed(input_->name());
    format_.type = *type;
    LC_RETURN_IF_ERROR(format_.Validate().Prefixed(input_->name()));
    return any ? Append() : Status();
  }

  const audio::AudioFormat& format() const override { return format_; }
  std::optional<int64_t> total_samples() const override { return std::nullopt; }
  std::string description() const override { return description_; }
  const std::vector<std::string>& warnings() const override { return warnings_; }

  Result<size_t> Read(std::span<std::byte> out) override {
    const auto frame_bytes = static_cast<size_t>(format_.frame_bytes());
    const size_t wanted = out.size() / frame_bytes * frame_bytes;
    size_t filled = 0;
    while (filled < wanted) {
      if (silence_frames_ > 0) {
        const size_t take =
            std::min(static_cast<size_t>(silence_frames_), (wanted - filled) / frame_bytes);
        std::memset(out.data() + filled, format_.type == audio::SampleType::kU8 ? 0x80 : 0,
                    take * frame_bytes);
        silence_frames_ -= static_cast<int64_t>(take);
        filled += take * frame_bytes;
      } else if (taken_ < pending_.size()) {
        const size_t take = std::min(pending_.size() - taken_, wanted - filled);
        std::memcpy(out.data() + filled, pending_.data() + taken_, take);
        taken_ += take;
        filled += take;
      } else {
        LC_ASSIGN_OR_RETURN(const bool more, DecodeNext());
        if (!more) break;
        LC_RETURN_IF_ERROR(Append());
      }
    }
    return filled;
  }

 private:
  Status Named(Code code, const std::string& message) const {
    return Status(code, input_->name() + ": " + message);
  }

  void WarnOnce(const std::string& warning) {
    if (std::find(warnings_.begin(), warnings_.end(), warning) == warnings_.end()) {
      warnings_.push_back(warning);
    }
  }

  /// False at the end.
  Result<bool> DecodeNext() {
    for (;;) {
      int error = avcodec_receive_frame(decoder_.get(), frame_.get());
      if (error >= 0) {
        if (frame_->nb_samples > 0) return true;
        continue;
      }
      if (error == AVERROR_EOF) return false;
      if (error != AVERROR(EAGAIN)) return LibavStatus(error, input_->name() + ": decoder");
      LC_RETURN_IF_ERROR(Feed());
    }
  }

  Status Feed() {
    for (;;) {
      ClearLibavLog();
      int error = av_read_frame(input_->get(), packet_.get());
      if (error < 0) {
        const std::string log = FirstLibavError();
        if (error != AVERROR_EOF || !log.empty()) {
          WarnOnce("the file ends early" + (log.empty() ? "" : " (" + log + ")"));
        }
        error = avcodec_send_packet(decoder_.get(), nullptr);
        return error < 0 ? LibavStatus(error, input_->name()) : Status();
      }
      const bool ours = packet_->stream_index == stream_->index;
      if (ours && (packet_->flags & AV_PKT_FLAG_CORRUPT)) WarnOnce("the file ends early");
      if (ours) error = avcodec_send_packet(decoder_.get(), packet_.get());
      av_packet_unref(packet_.get());
      if (!ours) continue;
      if (error == AVERROR_INVALIDDATA) {
        WarnOnce("damaged audio replaced by silence");
        continue;
      }
      return error < 0 ? LibavStatus(error, input_->name()) : Status();
    }
  }

  /// Takes the samples of frame_, after silence where its time lies ahead.
  Status Append() {
    if (frame_->sample_rate != format_.rate_hz ||
        frame_->ch_layout.nb_channels != format_.channels || frame_->format != sample_format_) {
      return Named(Code::kUnimplemented,
                   "the sound changes from " + std::to_string(format_.rate_hz) + " Hz, " +
                       std::to_string(format_.channels) + " channels to " +
                       std::to_string(frame_->sample_rate) + " Hz, " +
                       std::to_string(frame_->ch_layout.nb_channels) + " channels on the way");
    }
    if (frame_->best_effort_timestamp != AV_NOPTS_VALUE) {
      const AVRational sample = {1, format_.rate_hz};
      const int64_t at = av_rescale_q(frame_->best_effort_timestamp, stream_->time_base, sample) -
                         av_rescale_q(origin_us_, {1, AV_TIME_BASE}, sample);
      const int64_t hole = at - position_;
      if (hole > kMaxHoleSeconds * format_.rate_hz) {
        return Named(Code::kDataLoss, "a hole of " + std::to_string(hole / format_.rate_hz) +
                                          " s in the sound: want at most " +
                                          std::to_string(kMaxHoleSeconds));
      }
      if (hole > kHoleMilliseconds * format_.rate_hz / 1000) {
        WarnOnce(std::to_string(hole * 1000 / format_.rate_hz) + " ms of silence put in at " +
                 std::to_string(position_ * 1000 / format_.rate_hz) + " ms: the sound has a hole");
        silence_frames_ = hole;
        position_ += hole;
      }
    }
    const auto samples = static_cast<size_t>(frame_->nb_samples);
    const auto channels = static_cast<size_t>(format_.channels);
    const auto bytes = static_cast<size_t>(av_get_bytes_per_sample(sample_format_));
    pending_.resize(samples * channels * bytes);
    taken_ = 0;
    if (av_sample_fmt_is_planar(sample_format_)) {
      for (size_t c = 0; c < channels; ++c) {
        const uint8_t* from = frame_->extended_data[c];
        for (size_t i = 0; i < samples; ++i) {
          std::memcpy(pending_.data() + (i * channels + c) * bytes, from + i * bytes, bytes);
        }
      }
    } else {
      std::memcpy(pending_.data(), frame_->extended_data[0], pending_.size());
    }
    position_ += frame_->nb_samples;
    return Status();
  }

  std::unique_ptr<MediaInput> input_;
  AVStream* stream_ = nullptr;
  CodecPtr decoder_;
  PacketPtr packet_;
  FramePtr frame_;
  audio::AudioFormat format_;
  AVSampleFormat sample_format_ = AV_SAMPLE_FMT_NONE;
  std::string description_;
  std::vector<std::string> warnings_;
  std::vector<std::byte> pending_;
  size_t taken_ = 0;
  int64_t position_ = 0;        // samples handed over or pending
  int64_t silence_frames_ = 0;  // still to be handed over, before pending_
  int64_t origin_us_ = 0;
};

}  // namespace

Result<std::unique_ptr<audio::AudioReader>> OpenLibavAudio(const std::filesystem::path& path) {
  auto reader = std::make_unique<LibavAudioReader>();
  LC_RETURN_IF_ERROR(reader->Open(path));
  return std::unique_ptr<audio::AudioReader>(std::move(reader));
}

}  // namespace lipcast::media
