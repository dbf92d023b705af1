#include "lipcast/pipeline/frame_painter.h"

#include <algorithm>

#include "lipcast/imaging/pack.h"

namespace lipcast::pipeline {

Status Paint(const LoadedAvatar& avatar, std::span<PaintJob> jobs, WorkerScratch& scratch,
             StageTimes& times) {
  DrawTimes drawn;
  drawn.begin = std::chrono::steady_clock::now();
  const avatar::MouthLayout& layout = avatar.generator->layout();
  const auto side = static_cast<size_t>(layout.inner_px);
  const size_t picture_floats = 6 * side * side, mouth_floats = 3 * side * side;
  const auto context_floats = static_cast<size_t>(avatar.generator->context().floats());
  const int resized_px = layout.resized_px();
  const size_t resized_bytes = PictureBytes(PixelFormat::kBgr24, resized_px, resized_px);

  const size_t n = jobs.size();
  if (scratch.pictures.size() < n * picture_floats) scratch.pictures.resize(n * picture_floats);
  if (scratch.mouths.size() < n * mouth_floats) scratch.mouths.resize(n * mouth_floats);
  if (scratch.contexts.size() < n * context_floats) scratch.contexts.resize(n * context_floats);
  if (scratch.frames.size() < n) scratch.frames.resize(n);
  if (scratch.resized.size() < n * resized_bytes) scratch.resized.resize(n * resized_bytes);
  const auto resized = [&](size_t i) {
    return PackedView(PixelFormat::kBgr24, resized_px, resized_px,
                      scratch.resized.data() + i * resized_bytes);
  };

  // Where each frame is drawn: straight into its output, or on a canvas that is scaled after.
  const auto& manifest = avatar.avatar->manifest();
  const bool scaled =
      n > 0 && (jobs[0].out.width != manifest.width || jobs[0].out.height != manifest.height);
  LC_ENSURE(!scaled || n == 1);
  MutablePictureView scaled_canvas;
  if (scaled) {
    const PixelFormat format = jobs[0].out.format;
    const size_t bytes = PictureBytes(format, manifest.width, manifest.height);
    if (scratch.canvas.size() < bytes) scratch.canvas.resize(bytes);
    scaled_canvas = PackedView(format, manifest.width, manifest.height, scratch.canvas.data());
  }
  const auto canvas_of = [&](const PaintJob& job) { return scaled ? scaled_canvas : job.out; };

  size_t mouths = 0;
  for (PaintJob& job : jobs) {
    const MutablePictureView canvas = canvas_of(job);
    std::shared_ptr<const Picture> source;
    {
      StageTimer timer(times, Stage::kBackground);
      LC_ASSIGN_OR_RETURN(source, avatar.avatar->Frame(job.background));
      LC_RETURN_IF_ERROR(imaging::ConvertPicture(source->view(), canvas, scratch.imaging));
    }
    job.generated = false;
    job.not_finite = 0;
    const auto box = avatar.avatar->box(job.background);
    if (job.weight <= 0.0F || !box) continue;
    {
      StageTimer timer(times, Stage::kResize);
      LC_ASSIGN_OR_RETURN(const avatar::SharedPicture face,
                          avatar.Face(job.background, source->view(), *box, scratch.imaging));
      std::copy_n(face->data(), resized_bytes, resized(mouths).plane[0]);
    }
    {
      StageTimer timer(times, Stage::kPack);
      const auto packed =
          std::span(scratch.pictures).subspan(mouths * picture_floats, picture_floats);
      if (job.picture.empty()) {
        imaging::PackMouth(layout, resized(mouths), packed);
      } else {
        LC_ENSURE(job.picture.size() == picture_floats);
        std::ranges::copy(job.picture, packed.begin());
      }
    }
    scratch.frames[mouths] = job.picture.empty() ? job.background : -1;
    std::copy_n(job.context.begin(), context_floats,
                scratch.contexts.begin() + static_cast<ptrdiff_t>(mouths * context_floats));
    job.generated = true;
    ++mouths;
  }
  if (mouths > 0) {
    drawn.generator_begin = std::chrono::steady_clock::now();
    LC_RETURN_IF_ERROR(avatar.generator->Generate(
        std::span<const int64_t>(scratch.frames).first(mouths),
        std::span<const float>(scratch.pictures).first(mouths * picture_floats),
        std::span<const float>(scratch.contexts).first(mouths * context_floats),
        std::span(scratch.mouths).first(mouths * mouth_floats)));
    drawn.generator_end = std::chrono::steady_clock::now();
    times.Add(Stage::kGenerator, drawn.generator_end - drawn.generator_begin);
  }
  size_t at = 0;
  for (PaintJob& job : jobs) {
    const MutablePictureView canvas = canvas_of(job);
    if (job.generated) {
      {
        StageTimer timer(times, Stage::kUnpack);
        job.not_finite = imaging::UnpackMouth(
            layout, std::span<const float>(scratch.mouths).subspan(at * mouth_floats, mouth_floats),
            resized(at));
      }
      if (job.not_finite > 0) {
        job.generated = false;  // NaN or Inf never reaches a pixel: the source picture stays
      } else {
        StageTimer timer(times, Stage::kPaste);
        LC_RETURN_IF_ERROR(avatar.compositor.Paste(resized(at), *avatar.avatar->box(job.background),
                                                   job.weight, canvas, scratch.imaging));
      }
      ++at;
    }
    if (scaled) {
      StageTimer timer(times, Stage::kResize);
      LC_RETURN_IF_ERROR(imaging::ResizePicture(canvas, job.out, scratch.imaging));
    }
  }
  drawn.end = std::chrono::steady_clock::now();
  for (PaintJob& job : jobs) job.times = drawn;
  return {};
}

}  // namespace lipcast::pipeline
