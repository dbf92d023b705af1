#include "lipcast/server/grpc_messages.h"

#include <string>
#include <utility>

namespace lipcast::server {
namespace {

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
    case v1::PICTURE_FORMAT_FMP4:
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
  options.movie = open.video().format() == v1::PICTURE_FORMAT_FMP4;
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

}  // namespace lipcast::server
