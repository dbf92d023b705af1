#include "lipcast/pipeline/speech_timeline.h"

#include <algorithm>
#include <cmath>

#include "lipcast/audio/mel_window.h"

namespace lipcast::pipeline {
namespace {

constexpr int kModelRateHz = 16'000;
constexpr int64_t kMelCapacityFrames = 160;  // 2 s: the context of one frame and 1.2 s ahead
constexpr int64_t kFeatureCapacity = 64;
/// More than a session is fed ahead of the frame it restarts at (4 s), the silence after an end and
/// what a restart looks back.
constexpr size_t kHistorySamples = 6 * kModelRateHz;
constexpr size_t kActiveRing = 256;
constexpr int64_t kPushMs = 40;

/// The new mouth fades in over this many frames before speech, and out after it.
constexpr int64_t kBlendFrames = 5;

/// Context restarts this many frames back: the 9 rows before a frame, and mel frames that the
/// zeros before the segment's first sample still reach.
constexpr int64_t kRestartFrames = 15;
constexpr int64_t kOriginStep = 5;  // 5 model frames are 16 mel frames exactly

}  // namespace

SpeechTimeline::SpeechTimeline(const TimelineOptions& options,
                               std::shared_ptr<const generator::Generator> generator,
                               StageTimes& times, audio::MonoConverter mono)
    : options_(options),
      generator_(std::move(generator)),
      context_(generator_->context()),
      times_(times),
      edges_(options.edges),
      mono_(mono),
      features_(context_, kFeatureCapacity),
      history_(kHistorySamples),
      active_(kActiveRing) {}

Result<std::unique_ptr<SpeechTimeline>> SpeechTimeline::Create(
    const TimelineOptions& options, std::shared_ptr<const generator::Generator> generator,
    StageTimes& times) {
  LC_ASSIGN_OR_RETURN(auto mono, audio::MonoConverter::Create(options.format));
  std::unique_ptr<SpeechTimeline> timeline(
      new SpeechTimeline(options, std::move(generator), times, mono));
  LC_RETURN_IF_ERROR(timeline->StartSegment(0));
  return timeline;
}

Status SpeechTimeline::StartSegment(int64_t origin_frame) {
  LC_ASSIGN_OR_RETURN(auto resampler,
                      audio::Resampler::Create(options_.format.rate_hz, kModelRateHz));
  resampler_.emplace(std::move(resampler));
  LC_ASSIGN_OR_RETURN(mel_, audio::MelStream::Create(options_.mel, kMelCapacityFrames));
  counted_times_ = {};
  features_.Clear();
  pending_.clear();
  pending_at_ = 0;
  origin_frame_ = origin_frame;
  return {};
}

size_t SpeechTimeline::BytesAccepted() const {
  if (finished_ || pending_at_ < pending_.size()) return 0;
  const int64_t samples = options_.format.rate_hz * kPushMs / 1000;
  return static_cast<size_t>(samples * options_.format.frame_bytes());
}

Status SpeechTimeline::Push(std::span<const std::byte> bytes) {
  LC_ENSURE(bytes.size() <= BytesAccepted());
  {
    StageTimer timer(times_, Stage::kResample);
    converted_.clear();
    mono_.Push(bytes, &converted_);
    pending_.clear();
    pending_at_ = 0;
    LC_RETURN_IF_ERROR(resampler_->Push(converted_, &pending_));
  }
  return FeedPending().status();
}

Status SpeechTimeline::Finish(int64_t model_frames) {
  finished_ = true;
  model_frames_ = model_frames;
  // What waits for room stays in front of the resampler's tail.
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(pending_at_));
  pending_at_ = 0;
  return resampler_->Finish(&pending_);
}

Result<bool> SpeechTimeline::Advance() {
  LC_ASSIGN_OR_RETURN(bool moved, FeedPending());
  if (!finished_ || pending_at_ < pending_.size()) return moved;
  if (edges_ == Edges::kReference) {
    if (mel_->finished()) return moved;
    LC_RETURN_IF_ERROR(mel_->Finish());
    TapMel();
    if (mel_->frames_ready() < context_.window_frames) {
      return Status(Code::kInvalidArgument,
                    "audio of " + std::to_string(samples_16k_) +
                        " samples at 16 kHz: reference edges want at least " +
                        std::to_string((context_.window_frames - 1) * options_.mel.hop_samples));
    }
    window_count_ = context_.reference_end == generator::ReferenceEnd::kByTime
                        ? audio::WindowCountReference(mel_->frames_ready())
                        : audio::WindowCountWav2Lip(mel_->frames_ready());
    return true;
  }
  // Silence as far as the last frame looks.
  const int64_t last_mel =
      WindowStartFrame(context_.last_window(model_frames_ - 1)) + context_.window_frames - 1;
  const int64_t wanted = last_mel * options_.mel.hop_samples + options_.mel.window_samples / 2 -
                         mel_->samples_pushed();
  const int64_t room = std::min<int64_t>(wanted, mel_->SamplesAccepted());
  if (model_frames_ == 0 || room <= 0) return moved;
  pending_.assign(static_cast<size_t>(room), 0.0F);
  pending_at_ = 0;
  LC_RETURN_IF_ERROR(FeedPending().status());
  return true;
}

Result<bool> SpeechTimeline::FeedPending() {
  const size_t waiting = pending_.size() - pending_at_;
  const auto take = std::min(waiting, static_cast<size_t>(mel_->SamplesAccepted()));
  if (take == 0) return false;
  const auto samples = std::span<const float>(pending_).subspan(pending_at_, take);
  pending_at_ += take;
  Measure(samples);
  LC_RETURN_IF_ERROR(PushToMel(samples));
  return true;
}

Status SpeechTimeline::PushToMel(std::span<const float> mono) {
  LC_RETURN_IF_ERROR(mel_->Push(mono));
  const audio::MelTimes now = mel_->times();
  times_.Add(Stage::kStft, now.stft - counted_times_.stft);
  times_.Add(Stage::kFilterbank, now.filterbank - counted_times_.filterbank);
  times_.Add(Stage::kLog, now.log - counted_times_.log);
  times_.Add(Stage::kNormalise, now.normalise - counted_times_.normalise);
  counted_times_ = now;
  TapMel();
  return {};
}

void SpeechTimeline::Measure(std::span<const float> mono) {
  const int64_t frame_samples = FirstSample(1, kModelRateHz, context_.fps);
  for (const float sample : mono) {
    history_[static_cast<size_t>(samples_16k_) % kHistorySamples] = sample;
    sum_ += sample;
    sum_of_squares_ += static_cast<double>(sample) * sample;
    if (++samples_16k_ % frame_samples != 0) continue;
    const double mean = sum_ / static_cast<double>(frame_samples);
    const double power = sum_of_squares_ / static_cast<double>(frame_samples) - mean * mean;
    const double threshold = std::pow(10.0, options_.silence_dbfs / 10.0);
    active_[static_cast<size_t>(settled_frames_) % kActiveRing] = power > threshold;
    ++settled_frames_;
    sum_ = sum_of_squares_ = 0;
  }
}

bool SpeechTimeline::FrameActive(int64_t frame) const {
  // Beyond what was fed lies silence; before 0 too.
  if (frame < 0 || frame >= settled_frames_) return false;
  return active_[static_cast<size_t>(frame) % kActiveRing] != 0;
}

float SpeechTimeline::Weight(int64_t frame) const {
  if (options_.idle == Idle::kModel) return 1.0F;
  for (int64_t distance = 0; distance < kBlendFrames; ++distance) {
    if (FrameActive(frame - distance) || FrameActive(frame + distance)) {
      return 1.0F - static_cast<float>(distance) / kBlendFrames;
    }
  }
  return 0.0F;
}

int64_t SpeechTimeline::WindowStartFrame(int64_t window) const {
  return audio::WindowStart(window - origin_frame_);
}

bool SpeechTimeline::WindowsReady(int64_t frame) const {
  if (window_count_) return true;
  const int64_t last = WindowStartFrame(context_.last_window(frame));
  return last + context_.window_frames <= mel_->frames_ready();
}

bool SpeechTimeline::Ready(int64_t frame) const {
  if (edges_ == Edges::kReference) return WindowsReady(frame);
  if (options_.idle == Idle::kModel) return WindowsReady(frame);
  // Behind the end lies silence, but the last frame is settled only with the silence that fills it.
  int64_t settled = frame + kBlendFrames;
  if (finished_) settled = std::min(settled, model_frames_);
  if (settled_frames_ < settled) return false;
  if (options_.tap == nullptr && Weight(frame) == 0.0F) return true;
  return WindowsReady(frame);
}

Status SpeechTimeline::FillContext(int64_t frame, std::span<float> context) {
  int64_t last = context_.last_window(frame);
  if (window_count_) last = std::min(last, *window_count_ - 1);
  const auto first = std::max({int64_t{0}, frame - context_.rows_before - 1, origin_frame_});
  LC_RETURN_IF_ERROR(EnsureEncoded(first, last));
  StageTimer timer(times_, Stage::kWindows);
  return features_.FillContext(frame, window_count_, context);
}

Status SpeechTimeline::EnsureEncoded(int64_t first, int64_t last) {
  const auto window_floats = static_cast<size_t>(context_.window_floats());
  const auto feature_floats = static_cast<size_t>(context_.feature_floats);
  while (first <= last && features_.Has(first)) ++first;
  if (first > last) return {};
  const auto count = static_cast<size_t>(last - first + 1);
  window_batch_.resize(count * window_floats);
  feature_batch_.resize(count * feature_floats);
  {
    StageTimer timer(times_, Stage::kWindows);
    for (size_t i = 0; i < count; ++i) {
      int64_t start = WindowStartFrame(first + static_cast<int64_t>(i));
      if (window_count_) start = std::min(start, mel_->frames_ready() - context_.window_frames);
      LC_ASSIGN_OR_RETURN(const audio::MelWindow window, mel_->Window(start));
      window.CopyTo(std::span(window_batch_).subspan(i * window_floats, window_floats));
    }
  }
  {
    StageTimer timer(times_, Stage::kAudioEncoder);
    LC_RETURN_IF_ERROR(
        generator_->Encode(static_cast<int64_t>(count), window_batch_, feature_batch_));
  }
  for (size_t i = 0; i < count; ++i) {
    const int64_t window = first + static_cast<int64_t>(i);
    const auto features = std::span(feature_batch_).subspan(i * feature_floats, feature_floats);
    std::ranges::copy(features, features_.Put(window).begin());
    if (options_.tap == nullptr || window < tapped_windows_) continue;
    tapped_windows_ = window + 1;
    if (options_.tap->window) {
      options_.tap->window(std::span(window_batch_).subspan(i * window_floats, window_floats));
    }
    if (options_.tap->features) options_.tap->features(features);
  }
  return {};
}

void SpeechTimeline::TapMel() {
  if (options_.tap == nullptr || !options_.tap->mel) return;
  const int width = context_.window_frames;
  std::vector<float> column(static_cast<size_t>(context_.mel_bands));
  for (; tapped_mel_frames_ < mel_->frames_ready(); ++tapped_mel_frames_) {
    if (mel_->frames_ready() < width) return;
    const int64_t start = std::max<int64_t>(0, tapped_mel_frames_ - width + 1);
    const auto window = mel_->Window(start);
    if (!window.ok()) return;
    for (int band = 0; band < context_.mel_bands; ++band) {
      column[static_cast<size_t>(band)] =
          window->data[band * window->band_stride + (tapped_mel_frames_ - start)];
    }
    options_.tap->mel(column);
  }
}

void SpeechTimeline::DropBefore(int64_t frame) {
  const int64_t window = std::max(origin_frame_, frame - context_.rows_before - 1);
  int64_t mel_frame = WindowStartFrame(window);
  // Reference edges end with a window moved back to the last 16 frames; a tap reads 16 back too.
  mel_frame = std::min(mel_frame, mel_->frames_ready() - context_.window_frames);
  if (mel_frame > 0) mel_->DropBefore(mel_frame);
}

Status SpeechTimeline::Restart(int64_t sample_16k) {
  const int64_t frame = sample_16k / FirstSample(1, kModelRateHz, context_.fps);
  const int64_t back = std::max<int64_t>(0, frame - kRestartFrames);
  const int64_t origin = back / kOriginStep * kOriginStep;
  const int64_t from = FirstSample(origin, kModelRateHz, context_.fps);
  std::vector<float> heard(static_cast<size_t>(sample_16k - from));
  for (int64_t s = from; s < sample_16k; ++s) {
    const bool kept = s < samples_16k_ && s + static_cast<int64_t>(kHistorySamples) >= samples_16k_;
    heard[static_cast<size_t>(s - from)] =
        kept ? history_[static_cast<size_t>(s) % kHistorySamples] : 0.0F;
  }
  LC_ASSIGN_OR_RETURN(mono_, audio::MonoConverter::Create(options_.format));
  LC_RETURN_IF_ERROR(StartSegment(origin));
  edges_ = Edges::kSilence;
  finished_ = false;
  window_count_.reset();
  samples_16k_ = from;
  settled_frames_ = origin;
  sum_ = sum_of_squares_ = 0;
  Measure(heard);
  return PushToMel(heard);
}

}  // namespace lipcast::pipeline
