#include "lipcast/server/stream_movie.h"

#include <utility>

#include "lipcast/server/speech_stream.h"

namespace lipcast::server {
namespace {

std::string TextOf(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

Result<std::unique_ptr<StreamMovie>> StreamMovie::Create(const media::H264StreamOptions& options) {
  LC_ASSIGN_OR_RETURN(auto mp4, media::FragmentedMp4::Create(options));
  return std::unique_ptr<StreamMovie>(new StreamMovie(std::move(mp4), options.audio.has_value()));
}

Result<std::string> StreamMovie::Add(const StreamEvent& frame) {
  if (first_ < 0) {
    if (!frame.key_frame) return std::string();
    first_ = frame.frame;
  }
  if (sound_) {
    LC_RETURN_IF_ERROR(
        mp4_->AddSound(std::as_bytes(std::span(frame.sound.data(), frame.sound.size()))));
  }
  if (!frame.repeated) {
    const auto* picture = reinterpret_cast<const uint8_t*>(frame.picture.data());
    LC_RETURN_IF_ERROR(
        mp4_->AddPicture(frame.frame - first_, {picture, frame.picture.size()}, frame.key_frame));
  }
  LC_ASSIGN_OR_RETURN(const std::vector<uint8_t> fragment, mp4_->TakeFragment());
  return TextOf(fragment);
}

Result<std::string> StreamMovie::Finish() {
  if (first_ < 0) return std::string();
  LC_ASSIGN_OR_RETURN(const std::vector<uint8_t> fragment, mp4_->Finish());
  return TextOf(fragment);
}

}  // namespace lipcast::server
