#include "lipcast/server/grpc_messages.h"

#include <google/protobuf/util/time_util.h>

#include <atomic>
#include <string>
#include <utility>

#include "lipcast/server/grpc_status_details.h"

namespace lipcast::server {
namespace {

using google::protobuf::util::TimeUtil;

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

}  // namespace

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
    case StreamEvent::Kind::kMovieEnd:
      response->set_movie_end(std::move(event.picture));
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
  if (const StreamMovie* movie = stream.movie()) opened.set_mime_type(movie->mime_type());
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
