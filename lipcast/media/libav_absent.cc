// Stands in for every libav unit when LIPCAST_LIBAV=OFF.
#include "lipcast/media/encoder_info.h"
#include "lipcast/media/fragmented_mp4.h"
#include "lipcast/media/h264_encoder.h"
#include "lipcast/media/h264_movie.h"
#include "lipcast/media/libav_audio_reader.h"
#include "lipcast/media/libav_log.h"
#include "lipcast/media/movie_sink.h"
#include "lipcast/media/video_decoder.h"

namespace lipcast::media {
namespace {

Status Absent(const std::string& what) {
  return Status(Code::kUnimplemented, what +
                                          ": this lipcast was built without libav "
                                          "(LIPCAST_LIBAV=OFF)");
}

}  // namespace

void InitLibav() {}
EncoderInfo FindEncoders() { return {}; }

Result<std::unique_ptr<VideoSink>> CreateMovieSink(MovieContainer, const SinkOptions& options) {
  return Absent("cannot write movie '" + options.path.string() + "'");
}
Result<std::unique_ptr<H264Encoder>> H264Encoder::Create(const H264Options&) {
  return Absent("no H.264 encoder");
}
Result<std::unique_ptr<FragmentedMp4>> FragmentedMp4::Create(const H264StreamOptions&) {
  return Absent("cannot write fragmented MP4");
}
Result<std::unique_ptr<H264Movie>> H264Movie::Create(const std::filesystem::path& path,
                                                     const H264StreamOptions&) {
  return Absent("cannot write movie '" + path.string() + "'");
}
Result<std::unique_ptr<VideoDecoder>> OpenVideoDecoder(const avatar::FileSource& source) {
  return Absent("cannot read video '" + source.path.string() + "'");
}
Result<std::unique_ptr<avatar::FrameDecoder>> OpenVideo(const avatar::FileSource& source) {
  return OpenVideoDecoder(source).status();
}
Result<std::unique_ptr<audio::AudioReader>> OpenLibavAudio(const std::filesystem::path& path) {
  return Absent("cannot read audio of '" + path.string() + "'");
}

}  // namespace lipcast::media
