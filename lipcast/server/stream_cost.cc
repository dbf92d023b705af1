#include "lipcast/server/stream_cost.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <vector>

#include "lipcast/base/executor.h"
#include "lipcast/media/jpeg_codec.h"

namespace lipcast::server {
namespace {

constexpr int kFrames = 8;
constexpr size_t kRuns = 3;

/// Against JPEG of the same picture.
double EncodingFactor(PictureCodec codec) {
  switch (codec) {
    case PictureCodec::kJpeg:
      return 1;
    case PictureCodec::kPng:
      return 8;
    case PictureCodec::kRgba:
      return 1;
    case PictureCodec::kBgr:
    case PictureCodec::kI420:
      return 0.2;
    case PictureCodec::kH264AnnexB:
    case PictureCodec::kH264Avcc:
      return 2;
  }
  return 1;
}

Result<AvatarCost> ProbeOnce(pipeline::Engine& engine,
                             const std::shared_ptr<const pipeline::LoadedAvatar>& avatar) {
  pipeline::SessionOptions options;
  options.idle = pipeline::Idle::kModel;
  options.pixels = PixelFormat::kBgr24;
  options.fps = Rational{25, 1};
  options.yields = true;
  LC_ASSIGN_OR_RETURN(auto session, engine.Open(avatar, options));
  // Somebody waits for it: before the renders, or it would have to wait for their ends.
  session->Postpone(-(kBehindOthers / 2));
  std::vector<std::byte> sound(static_cast<size_t>(kFrames) * 1280);
  for (size_t i = 0; i < sound.size(); ++i) {  // noise: zeros may be quicker than speech
    sound[i] = static_cast<std::byte>((i * 2654435761U) >> 24);
  }
  LC_RETURN_IF_ERROR(session->Audio(1, sound));
  LC_RETURN_IF_ERROR(session->Finish());
  std::atomic<int64_t> encoding = 0;
  std::vector<uint8_t> jpeg;
  double pixels = 0;
  while (true) {
    LC_ASSIGN_OR_RETURN(const auto event, session->Next());
    if (!event) break;
    if (event->kind != pipeline::Event::Kind::kFrame) continue;
    const WorkTimer timer(encoding, WorkClock::kThreadCpu);
    LC_RETURN_IF_ERROR(media::EncodeJpeg(event->frame.picture, 75, 0, &jpeg));
    pixels += static_cast<double>(session->width()) * session->height();
  }
  const auto seconds = [](Nanoseconds time) { return std::chrono::duration<double>(time).count(); };
  return AvatarCost{seconds(session->work()) / kFrames,
                    seconds(Nanoseconds(encoding.load())) / pixels};
}

}  // namespace

Result<AvatarCost> ProbeAvatar(pipeline::Engine& engine,
                               const std::shared_ptr<const pipeline::LoadedAvatar>& avatar) {
  std::array<double, kRuns> draw{}, jpeg{};
  for (size_t run = 0; run < kRuns; ++run) {
    LC_ASSIGN_OR_RETURN(const AvatarCost cost, ProbeOnce(engine, avatar));
    draw[run] = cost.draw_seconds;
    jpeg[run] = cost.jpeg_seconds_per_pixel;
  }
  std::ranges::sort(draw);
  std::ranges::sort(jpeg);
  return AvatarCost{draw[kRuns / 2], jpeg[kRuns / 2]};
}

double StartCost(const AvatarCost& cost, const pipeline::LoadedAvatar& avatar,
                 const StreamOptions& options) {
  const auto& manifest = avatar.avatar->manifest();
  const int width = options.session.width.value_or(manifest.width);
  const int height = options.session.height.value_or(manifest.height);
  const double pixels = static_cast<double>(width) * height;
  const double fps = options.session.fps.value_or(manifest.fps).value();
  // A picture is drawn when the model's frame or the avatar's changes.
  const Rational model_fps = avatar.generator->context().fps;
  const double changes =
      model_fps == manifest.fps ? model_fps.value() : model_fps.value() + manifest.fps.value();
  double draw = cost.draw_seconds;
  // To scale a picture costs about what it costs to encode it.
  if (width != manifest.width || height != manifest.height) {
    draw += cost.jpeg_seconds_per_pixel * pixels;
  }
  const double encode =
      cost.jpeg_seconds_per_pixel * pixels * EncodingFactor(options.picture.codec);
  return std::min(fps, changes) * draw + fps * encode;
}

}  // namespace lipcast::server
