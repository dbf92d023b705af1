#include "lipcast/server/batch_render.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <latch>
#include <mutex>

#include "lipcast/media/jpeg_codec.h"
#include "lipcast/pipeline/speech_timeline.h"

namespace lipcast::server {
namespace {

constexpr int kMaxFrames = 32;
constexpr int64_t kMaxStartFrame = (int64_t{1} << 31) - 1;
constexpr int64_t kFramesEarly = 8;
constexpr int64_t kModelRateHz = 16'000;
/// How long a batch may wait behind live frames that are due.
constexpr auto kPatience = std::chrono::seconds(1);

Status Check(const BatchRequest& request, size_t context_floats, size_t picture_floats) {
  const auto refuse = [](const std::string& text) { return Status(Code::kInvalidArgument, text); };
  if (request.frames < 1 || request.frames > kMaxFrames) {
    return refuse(fmt::format("batch_size = {}: want 1..{}", request.frames, kMaxFrames));
  }
  if (request.start_frame < 0 || request.start_frame > kMaxStartFrame) {
    return refuse(
        fmt::format("start_frame_idx = {}: want 0..{}", request.start_frame, kMaxStartFrame));
  }
  if (request.audio.empty() && request.context.empty()) {
    return refuse("neither raw_audio nor audio_features: want one of them");
  }
  if (request.audio.empty() && request.context.size() != context_floats) {
    return refuse(fmt::format("audio_features has {} floats: want {}", request.context.size(),
                              context_floats));
  }
  const size_t pictures = picture_floats * static_cast<size_t>(request.frames);
  if (!request.pictures.empty() && request.pictures.size() != pictures) {
    return refuse(
        fmt::format("visual_frames has {} bytes: want none, or {} ({} frames of this "
                    "avatar's network)",
                    request.pictures.size() * 4, pictures * 4, request.frames));
  }
  return {};
}

Result<std::vector<float>> Contexts(const pipeline::LoadedAvatar& avatar,
                                    const BatchRequest& request, StageTimes& times) {
  const auto floats = static_cast<size_t>(avatar.generator->context().floats());
  std::vector<float> contexts(floats * static_cast<size_t>(request.frames));
  if (request.audio.empty()) {
    for (int i = 0; i < request.frames; ++i) {
      std::ranges::copy(request.context, contexts.begin() + static_cast<ptrdiff_t>(i * floats));
    }
    return contexts;
  }
  pipeline::TimelineOptions options;
  options.format = {request.rate_hz, 1, audio::SampleType::kF32};
  LC_RETURN_IF_ERROR(options.format.Validate());
  options.idle = pipeline::Idle::kModel;
  options.mel.padding = avatar.mel_padding();
  LC_ASSIGN_OR_RETURN(const auto timeline,
                      pipeline::SpeechTimeline::Create(options, avatar.generator, times));
  const Rational fps = avatar.generator->context().fps;
  const int64_t first = std::max<int64_t>(0, request.start_frame - kFramesEarly);
  // A restart puts the windows where they are in the whole stream.
  if (first > 0) LC_RETURN_IF_ERROR(timeline->Restart(FirstSample(first, kModelRateHz, fps)));
  const int64_t end = request.start_frame + request.frames;
  const auto needed =
      static_cast<size_t>(FirstSample(end - first, request.rate_hz, fps) + request.rate_hz);
  const auto bytes = std::as_bytes(request.audio.first(std::min(request.audio.size(), needed)));
  size_t at = 0;
  bool finished = false;
  for (int64_t frame = request.start_frame; frame < end;) {
    bool moved = false;
    if (at < bytes.size()) {
      const size_t take = std::min(bytes.size() - at, timeline->BytesAccepted());
      LC_RETURN_IF_ERROR(timeline->Push(bytes.subspan(at, take)));
      at += take;
      moved = take > 0;
    } else if (!finished) {
      LC_RETURN_IF_ERROR(timeline->Finish(end));
      finished = moved = true;
    }
    LC_ASSIGN_OR_RETURN(const bool advanced, timeline->Advance());
    moved = moved || advanced;
    for (; frame < end && timeline->Ready(frame); ++frame) {
      const auto index = static_cast<size_t>(frame - request.start_frame);
      LC_RETURN_IF_ERROR(
          timeline->FillContext(frame, std::span(contexts).subspan(index * floats, floats)));
      timeline->DropBefore(frame + 1);
      moved = true;
    }
    if (!moved) return Status(Code::kInternal, "the audio of a batch did not move on");
  }
  return contexts;
}

Result<std::string> DrawOne(const pipeline::LoadedAvatar& avatar, const BatchRequest& request,
                            pipeline::PaintJob job, pipeline::WorkerScratch& scratch,
                            StageTimes& times) {
  const avatar::Manifest& manifest = avatar.avatar->manifest();
  LC_ASSIGN_OR_RETURN(Picture picture,
                      Picture::Create(PixelFormat::kBgr24, manifest.width, manifest.height));
  job.out = picture.mutable_view();
  LC_RETURN_IF_ERROR(pipeline::Paint(avatar, std::span(&job, 1), scratch, times));
  if (request.raw) {
    return std::string(reinterpret_cast<const char*>(picture.data()), picture.size_bytes());
  }
  const StageTimer timer(times, Stage::kEncode);
  std::vector<uint8_t> jpeg;
  LC_RETURN_IF_ERROR(media::EncodeJpeg(picture.view(), request.jpeg_quality, 0, &jpeg));
  return std::string(jpeg.begin(), jpeg.end());
}

}  // namespace

Result<BatchResult> RenderBatch(pipeline::Engine& engine, const pipeline::LoadedAvatar& avatar,
                                const BatchRequest& request) {
  const auto context_floats = static_cast<size_t>(avatar.generator->context().floats());
  const auto side = static_cast<size_t>(avatar.generator->layout().inner_px);
  const size_t picture_floats = 6 * side * side;
  LC_RETURN_IF_ERROR(Check(request, context_floats, picture_floats));
  StageTimes times(engine.parts().metrics);
  const auto start = std::chrono::steady_clock::now();
  LC_ASSIGN_OR_RETURN(const std::vector<float> contexts, Contexts(avatar, request, times));
  const auto drawn_from = std::chrono::steady_clock::now();

  const auto count = static_cast<size_t>(request.frames);
  BatchResult result;
  result.frames.resize(count);
  std::mutex mu;
  Status failure;
  std::latch done(request.frames);
  const Rational avatar_fps = avatar.avatar->manifest().fps;
  const Rational model_fps = avatar.generator->context().fps;
  for (size_t i = 0; i < count; ++i) {
    pipeline::PaintJob job;
    job.background = avatar.avatar->FrameAtStep(
        MapFrame(request.start_frame + static_cast<int64_t>(i), model_fps, avatar_fps));
    job.weight = 1;
    job.context = std::span(contexts).subspan(i * context_floats, context_floats);
    if (!request.pictures.empty()) {
      job.picture = request.pictures.subspan(i * picture_floats, picture_floats);
    }
    engine.executor().Post(engine.parts().clock->Now() + kPatience, [&, i, job](int worker) {
      auto frame = DrawOne(avatar, request, job, engine.scratch(worker), times);
      {
        const std::lock_guard lock(mu);
        if (frame.ok()) result.frames[i] = *std::move(frame);
        if (!frame.ok() && failure.ok()) failure = frame.status();
      }
      done.count_down();
    });
  }
  done.wait();
  LC_RETURN_IF_ERROR(failure);
  result.audio = drawn_from - start;
  result.draw = std::chrono::steady_clock::now() - drawn_from;
  result.generate = times.total(Stage::kGenerator);
  for (const Stage stage : {Stage::kBackground, Stage::kPack, Stage::kUnpack, Stage::kResize,
                            Stage::kPaste, Stage::kEncode}) {
    result.compose += times.total(stage);
  }
  return result;
}

}  // namespace lipcast::server
