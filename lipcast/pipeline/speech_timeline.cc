#include "lipcast/pipeline/speech_timeline.h"

#include <algorithm>
#include <cmath>

#include "lipcast/audio/mel_window.h"

namespace lipcast::pipeline {
namespace {

constexpr int kModelRateHz = 16'000;
constexpr int64_t kMelCapacityFrames = 160;  // 2 s: the context of one frame and 1.2 s ahead
constexpr int64_t kAheadSamples = kModelRateHz * 6 / 5;  // the same where samples are heard
constexpr int64_t kFeatureCapacity = 64;
/// More than a session is fed ahead of the frame it restarts at (4 s), the silence after an end and
/// what a restart looks back.
constexpr int64_t kHistorySamples = 6 * kModelRateHz;
constexpr size_t kActiveRing = 256;
constexpr int64_t kPushMs = 40;

/// The new mouth fades in over this many frames before speech, and out after it.
constexpr int64_t kBlendFrames = 5;

/// Context restarts this many frames back: the 9 rows before a frame, and mel frames that the
/// zeros before the segment's first sample still reach.
constexpr int64_t kRestartFrames = 15;
constexpr int64_t kOriginStep = 5;  // 5 model frames are 16 mel frames exactly

using generator::AudioContext;
using generator::ReferenceEnd;
using generator::WindowOf;

/// Samples that the windows of one frame's rows span, at most.
int64_t ContextSamples(const AudioContext& context) {
  if (context.window_of == WindowOf::kMel) return 0;
  const int64_t features = context.rows() + 2 * context.window_features;
  return context.window_samples + FirstSample(features, kModelRateHz, context.fps);
}

/// How many features the original makes of a whole file.
int64_t ReferenceFeatures(ReferenceEnd end, int64_t mel_frames, int64_t samples) {
  switch (end) {
    case ReferenceEnd::kByTime:
      return audio::WindowCountReference(mel_frames);
    case ReferenceEnd::kWholeWindows:
      return audio::WindowCountWav2Lip(mel_frames);
    case ReferenceEnd::kHubert:
      return (samples - 80) / 320 / 2;
    case ReferenceEnd::kWenet: {
      // 67 frames of 10 ms of zeros around the sound; windows of 67 every 5.
      const int64_t frames = (samples + 67 * 160 - 400) / 160 + 1;
      return frames <= 67 ? 1 : (frames - 67 + 4) / 5 + 1;
    }
  }
  return 0;
}

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
      features_(context_, std::max<int64_t>(kFeatureCapacity,
                                            context_.rows() + 2 * context_.window_features)),
      history_(kHistorySamples + ContextSamples(context_)),
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
  if (context_.window_of == WindowOf::kMel) {
    LC_ASSIGN_OR_RETURN(mel_, audio::MelStream::Create(options_.mel, kMelCapacityFrames));
  }
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
    if (window_count_) return moved;
    LC_RETURN_IF_ERROR(EndAsReference());
    return true;
  }
  if (model_frames_ == 0) return moved;
  const int64_t room = std::min(SamplesMissing(), SamplesAccepted());
  if (room <= 0) return moved;
  pending_.assign(static_cast<size_t>(room), 0.0F);
  pending_at_ = 0;
  LC_RETURN_IF_ERROR(FeedPending().status());
  return true;
}

Status SpeechTimeline::EndAsReference() {
  int64_t mel_frames = 0, least_samples = 0;
  if (!hears_samples()) {
    LC_RETURN_IF_ERROR(mel_->Finish());
    TapMel();
    mel_frames = mel_->frames_ready();
    least_samples = int64_t{context_.window_frames - 1} * options_.mel.hop_samples;
  } else {
    least_samples = 720;  // one frame of HuBERT's
  }
  const int64_t count = ReferenceFeatures(context_.reference_end, mel_frames, history_.end());
  if (count < 1) {
    return Status(Code::kInvalidArgument, "audio of " + std::to_string(history_.end()) +
                                              " samples at 16 kHz: reference edges want at least " +
                                              std::to_string(least_samples));
  }
  window_count_ = count;
  return {};
}

int64_t SpeechTimeline::SamplesMissing() const {
  const int64_t last = context_.last_window(model_frames_ - 1);
  if (hears_samples()) return WindowEnd(last) - history_.end();
  const int64_t last_mel = WindowStartFrame(last) + context_.window_frames - 1;
  return last_mel * options_.mel.hop_samples + options_.mel.window_samples / 2 -
         mel_->samples_pushed();
}

int64_t SpeechTimeline::SamplesAccepted() const {
  if (!hears_samples()) return mel_->SamplesAccepted();
  const int64_t full = std::max<int64_t>(keep_from_, 0) + ContextSamples(context_) + kAheadSamples;
  return std::max<int64_t>(0, full - history_.end());
}

int64_t SpeechTimeline::WindowBegin(int64_t window) const {
  return FirstSample(window * context_.window_features, kModelRateHz, context_.fps) -
         context_.lead_samples;
}

int64_t SpeechTimeline::WindowEnd(int64_t feature) const {
  return WindowBegin(feature / context_.window_features) + context_.window_samples;
}

Result<bool> SpeechTimeline::FeedPending() {
  const size_t waiting = pending_.size() - pending_at_;
  const auto take = std::min(waiting, static_cast<size_t>(SamplesAccepted()));
  if (take == 0) return false;
  const auto samples = std::span<const float>(pending_).subspan(pending_at_, take);
  pending_at_ += take;
  Measure(samples);
  LC_RETURN_IF_ERROR(PushToMel(samples));
  return true;
}

Status SpeechTimeline::PushToMel(std::span<const float> mono) {
  if (hears_samples()) return {};
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
    history_.Append(sample);
    sum_ += sample;
    sum_of_squares_ += static_cast<double>(sample) * sample;
    if (history_.end() % frame_samples != 0) continue;
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
  if (hears_samples()) return WindowEnd(context_.last_window(frame)) <= history_.end();
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
  LC_RETURN_IF_ERROR(hears_samples() ? EnsureHeard(first, last) : EnsureEncoded(first, last));
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
    TapFeature(window, std::span(window_batch_).subspan(i * window_floats, window_floats),
               features);
  }
  return {};
}

Status SpeechTimeline::EnsureHeard(int64_t first, int64_t last) {
  const int64_t together = context_.window_features;
  const auto floats = static_cast<size_t>(context_.feature_floats);
  window_batch_.resize(static_cast<size_t>(context_.window_samples));
  feature_batch_.resize(static_cast<size_t>(together) * floats);
  for (int64_t window = first / together; window <= last / together; ++window) {
    if (features_.Has(std::max(first, window * together))) continue;
    {
      StageTimer timer(times_, Stage::kWindows);
      history_.Copy(WindowBegin(window), window_batch_);
    }
    {
      StageTimer timer(times_, Stage::kAudioEncoder);
      LC_RETURN_IF_ERROR(generator_->Encode(1, window_batch_, feature_batch_));
    }
    for (int64_t i = 0; i < together; ++i) {
      const int64_t feature = window * together + i;
      const auto row = std::span(feature_batch_).subspan(static_cast<size_t>(i) * floats, floats);
      std::ranges::copy(row, features_.Put(feature).begin());
      TapFeature(feature, i == 0 ? std::span<const float>(window_batch_) : std::span<const float>(),
                 row);
    }
  }
  return {};
}

/// Each feature once; an empty window came with an earlier one.
void SpeechTimeline::TapFeature(int64_t index, std::span<const float> window,
                                std::span<const float> features) {
  if (options_.tap == nullptr || index < tapped_windows_) return;
  tapped_windows_ = index + 1;
  if (options_.tap->window && !window.empty()) options_.tap->window(window);
  if (options_.tap->features) options_.tap->features(features);
}

void SpeechTimeline::TapMel() {
  if (hears_samples() || options_.tap == nullptr || !options_.tap->mel) return;
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
  if (hears_samples()) {
    keep_from_ = WindowBegin(window / context_.window_features);
    return;
  }
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
  history_.Copy(from, heard);
  LC_ASSIGN_OR_RETURN(mono_, audio::MonoConverter::Create(options_.format));
  LC_RETURN_IF_ERROR(StartSegment(origin));
  edges_ = Edges::kSilence;
  finished_ = false;
  window_count_.reset();
  history_.Rewind(from);
  settled_frames_ = origin;
  sum_ = sum_of_squares_ = 0;
  Measure(heard);
  if (hears_samples()) DropBefore(frame);
  return PushToMel(heard);
}

}  // namespace lipcast::pipeline
