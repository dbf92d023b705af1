#include "lipcast/server/grpc_messages.h"

#include <google/protobuf/util/time_util.h>

#include <atomic>
#include <string>
#include <utility>

#include "lipcast/server/grpc_status_details.h"

namespace lipcast::server {
namespace {

using google::protobuf::util::TimeUtil;

Status Refuse(const std::string& field, const std::string& found, const std::string& want) {
  return Status(Code::kInvalidArgument, "open." + field + " = " + found + ": want " + want);
}

Result<audio::SampleType> SampleTypeOf(v1::SampleType type) {
  switch (type) {
    case v1::SAMPLE_TYPE_UNSPECIFIED:
    case v1::SAMPLE_TYPE_S16:
      return audio::SampleType::kS16;
    case v1::SAMPLE_TYPE_U8:
      return audio::SampleType::kU8;
    case v1::SAMPLE_TYPE_S24:
      return audio::SampleType::kS24;
    case v1::SAMPLE_TYPE_S32:
      return audio::SampleType::kS32;
    case v1::SAMPLE_TYPE_F32:
      return audio::SampleType::kF32;
    case v1::SAMPLE_TYPE_F64:
      return audio::SampleType::kF64;
    case v1::SAMPLE_TYPE_MULAW:
      return audio::SampleType::kMulaw;
    case v1::SAMPLE_TYPE_ALAW:
      return audio::SampleType::kAlaw;
    default:
      return Refuse("audio.sample_type", std::to_string(type), "a value of SampleType");
  }
}

v1::AudioFormat ToWire(const audio::AudioFormat& format) {
  constexpr v1::SampleType kTypes[] = {
      v1::SAMPLE_TYPE_U8,  v1::SAMPLE_TYPE_S16, v1::SAMPLE_TYPE_S24,   v1::SAMPLE_TYPE_S32,
      v1::SAMPLE_TYPE_F32, v1::SAMPLE_TYPE_F64, v1::SAMPLE_TYPE_MULAW, v1::SAMPLE_TYPE_ALAW};
  v1::AudioFormat out;
  out.set_rate_hz(format.rate_hz);
  out.set_channels(format.channels);
  out.set_sample_type(kTypes[static_cast<int>(format.type)]);
  return out;
}

Result<SoundOut> SoundOf(v1::SoundFormat format) {
  switch (format) {
    case v1::SOUND_FORMAT_UNSPECIFIED:
    case v1::SOUND_FORMAT_INPUT:
      return SoundOut::kInput;
    case v1::SOUND_FORMAT_NONE:
      return SoundOut::kNone;
    case v1::SOUND_FORMAT_PCM16:
      return SoundOut::kPcm16;
    default:
      return Refuse("sound", std::to_string(format), "a value of SoundFormat");
  }
}

Result<pipeline::Idle> IdleOf(v1::Idle idle) {
  switch (idle) {
    case v1::IDLE_UNSPECIFIED:
    case v1::IDLE_PASSTHROUGH:
      return pipeline::Idle::kPassthrough;
    case v1::IDLE_MODEL:
      return pipeline::Idle::kModel;
    default:
      return Refuse("idle", std::to_string(idle), "a value of Idle");
  }
}

Result<PictureCodec> CodecOf(v1::PictureFormat format) {
  switch (format) {
    case v1::PICTURE_FORMAT_UNSPECIFIED:
    case v1::PICTURE_FORMAT_JPEG:
      return PictureCodec::kJpeg;
    case v1::PICTURE_FORMAT_PNG:
      return PictureCodec::kPng;
    case v1::PICTURE_FORMAT_RGBA:
      return PictureCodec::kRgba;
    case v1::PICTURE_FORMAT_BGR:
      return PictureCodec::kBgr;
    case v1::PICTURE_FORMAT_I420:
      return PictureCodec::kI420;
    case v1::PICTURE_FORMAT_H264_ANNEXB:
      return PictureCodec::kH264AnnexB;
    case v1::PICTURE_FORMAT_H264_AVCC:
      return PictureCodec::kH264Avcc;
    default:
      return Refuse("video.format", std::to_string(format), "a value of PictureFormat");
  }
}

}  // namespace

Result<StreamOptions> FromWire(const v1::OpenSession& open, int default_jpeg_quality) {
  StreamOptions options;
  auto& format = options.session.format;
  if (open.audio().rate_hz() != 0) format.rate_hz = open.audio().rate_hz();
  if (open.audio().channels() != 0) format.channels = open.audio().channels();
  LC_ASSIGN_OR_RETURN(format.type, SampleTypeOf(open.audio().sample_type()));
  LC_ASSIGN_OR_RETURN(options.picture.codec, CodecOf(open.video().format()));
  if (open.video().has_fps()) {
    options.session.fps = Rational{open.video().fps().num(), open.video().fps().den()};
  }
  if (open.video().width() != 0) options.session.width = open.video().width();
  if (open.video().height() != 0) options.session.height = open.video().height();
  options.picture.bitrate_kbps = open.video().bitrate_kbps();
  options.picture.jpeg_quality =
      open.video().jpeg_quality() == 0 ? default_jpeg_quality : open.video().jpeg_quality();
  LC_ASSIGN_OR_RETURN(options.sound, SoundOf(open.sound()));
  options.sound_rate_hz = open.sound_rate_hz();
  options.session.start_frame = open.start_frame();
  LC_ASSIGN_OR_RETURN(options.session.idle, IdleOf(open.idle()));
  options.live = !open.file_pace();
  return options;
}

Result<StreamRequest> FromWire(v1::SpeakRequest&& request) {
  StreamRequest out;
  switch (request.request_case()) {
    case v1::SpeakRequest::kAudio:
      out.kind = StreamRequest::Kind::kAudio;
      out.utterance = request.audio().utterance();
      out.audio = std::move(*request.mutable_audio()->mutable_data());
      return out;
    case v1::SpeakRequest::kEnd:
      out.kind = StreamRequest::Kind::kEnd;
      out.utterance = request.end().utterance();
      return out;
    case v1::SpeakRequest::kClear:
      out.kind = StreamRequest::Kind::kClear;
      out.request = request.clear().request();
      out.reason = std::move(*request.mutable_clear()->mutable_reason());
      return out;
    case v1::SpeakRequest::kClose:
      out.kind = StreamRequest::Kind::kClose;
      return out;
    case v1::SpeakRequest::kKeyFrame:
      out.kind = StreamRequest::Kind::kKeyFrame;
      return out;
    case v1::SpeakRequest::kOpen:
      return Status(Code::kFailedPrecondition, "open: the session is open already");
    case v1::SpeakRequest::REQUEST_NOT_SET:
      break;
  }
  return Status(Code::kInvalidArgument,
                "a request without content: want audio, end, clear, close, key_frame");
}

void ToWire(StreamEvent&& event, const Rational& fps, v1::SpeakResponse* response) {
  switch (event.kind) {
    case StreamEvent::Kind::kFrame: {
      v1::Frame& frame = *response->mutable_frame();
      frame.set_index(event.frame);
      *frame.mutable_pts() = TimeUtil::NanosecondsToDuration(
          MulDivFloor(event.frame * fps.den, 1'000'000'000, fps.num));
      frame.set_utterance(event.utterance);
      frame.set_speaking(event.speaking);
      frame.set_repeated(event.repeated);
      frame.set_key_frame(event.key_frame);
      frame.set_background(event.background);
      frame.set_picture(std::move(event.picture));
      frame.set_sound(std::move(event.sound));
      return;
    }
    case StreamEvent::Kind::kStarted:
      response->mutable_started()->set_utterance(event.utterance);
      response->mutable_started()->set_frame(event.frame);
      return;
    case StreamEvent::Kind::kFinished:
      response->mutable_finished()->set_utterance(event.utterance);
      response->mutable_finished()->set_played_samples(event.played_samples);
      response->mutable_finished()->set_interrupted(event.interrupted);
      return;
    case StreamEvent::Kind::kCleared:
      response->mutable_cleared()->set_request(event.request);
      response->mutable_cleared()->set_utterance(event.utterance);
      response->mutable_cleared()->set_played_samples(event.played_samples);
      return;
    case StreamEvent::Kind::kState:
      response->mutable_state()->set_state(event.speaking ? v1::STATE_SPEAKING : v1::STATE_IDLE);
      response->mutable_state()->set_frame(event.frame);
      return;
    case StreamEvent::Kind::kWarning:
      response->mutable_warning()->set_message(std::move(event.message));
      return;
  }
}

v1::Opened OpenedOf(const SpeechStream& stream) {
  v1::Opened opened;
  opened.set_session(stream.id());
  opened.set_avatar(stream.avatar());
  opened.mutable_fps()->set_num(stream.fps().num);
  opened.mutable_fps()->set_den(stream.fps().den);
  opened.set_width(stream.width());
  opened.set_height(stream.height());
  *opened.mutable_audio() = ToWire(stream.options().session.format);
  if (stream.options().sound != SoundOut::kNone) {
    *opened.mutable_sound() = ToWire(stream.sound_format());
  }
  const auto config = stream.codec_config();
  opened.set_codec_config(config.data(), config.size());
  opened.set_provider(inference::ProviderName(stream.loaded()->generator->provider()));
  return opened;
}

v1::Avatar ToWire(const AvatarEntry& entry) {
  v1::Avatar out;
  out.set_name(entry.name);
  out.set_loaded(entry.stats.loaded);
  out.set_problem(entry.stats.problem);
  if (entry.manifest) {
    const auto& manifest = *entry.manifest;
    out.set_title(manifest.title);
    out.set_width(manifest.width);
    out.set_height(manifest.height);
    out.mutable_fps()->set_num(manifest.fps.num);
    out.mutable_fps()->set_den(manifest.fps.den);
    out.set_frame_count(manifest.frame_count);
    out.set_family(std::string(avatar::Name(manifest.generator.family)));
  }
  if (entry.avatar) {
    out.set_provider(inference::ProviderName(entry.avatar->generator->provider()));
  }
  v1::AvatarStats& stats = *out.mutable_stats();
  stats.set_sessions(entry.stats.sessions);
  stats.set_sessions_opened(entry.stats.sessions_opened);
  stats.set_frames(entry.stats.frames);
  stats.set_generated_frames(entry.stats.generated_frames);
  stats.set_mean_generate_ms(entry.stats.mean_generate_ms());
  stats.set_model_bytes(entry.stats.model_bytes);
  stats.set_frame_bytes(entry.stats.frame_bytes);
  stats.mutable_last_used()->set_seconds(entry.stats.last_used_unix_s);
  *stats.mutable_load_time() = TimeUtil::NanosecondsToDuration(entry.stats.load_time.count());
  stats.set_loads(entry.stats.loads);
  return out;
}

grpc::Status ToWire(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), status.message(), StatusDetails(status)};
}

}  // namespace lipcast::server
