#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lipcast/audio/audio_format.h"
#include "lipcast/audio/mel_stream.h"
#include "lipcast/audio/mono_converter.h"
#include "lipcast/audio/resampler.h"
#include "lipcast/base/metrics.h"
#include "lipcast/base/status.h"
#include "lipcast/generator/feature_ring.h"
#include "lipcast/generator/generator.h"
#include "lipcast/pipeline/sample_history.h"

namespace lipcast::pipeline {

/// What a stream does at its ends. Source: docs/numerics.md 2.
enum class Edges {
  kSilence,    ///< the audio is followed by silence; frames = ceil(duration * fps)
  kReference,  ///< the reference's clamping and frame count, for parity
};

/// What is shown while nobody speaks.
enum class Idle {
  kPassthrough,  ///< the source picture, no inference; a short blend into and out of speech
  kModel,        ///< the model draws silence too
};

/// Sees what the networks are fed, in order, each item once. For `render --dump`.
struct FeedTap {
  std::function<void(std::span<const float> mel_frame)> mel;      ///< [bands]; WindowOf::kMel only
  std::function<void(std::span<const float> window)> window;      ///< [window_floats]
  std::function<void(std::span<const float> features)> features;  ///< [feature_floats]
};

struct TimelineOptions {
  audio::AudioFormat format;
  audio::MelConfig mel;
  Edges edges = Edges::kSilence;
  Idle idle = Idle::kPassthrough;
  double silence_dbfs = -52.0;  ///< a model frame quieter than this, its mean removed, is silent
  FeedTap* tap = nullptr;       ///< not owned; with a tap every window is encoded
};

/// The sound of one stream on the model's clock: PCM in, and for each model frame whether it
/// speaks and which audio context the generator gets.
///   PCM -> mono -> 16 kHz -> log-mel -> windows -> features -> context rows
/// (Models that hear samples take their windows at 16 kHz.)
/// Index:  model frames from the start of the stream; Restart keeps counting.
/// Memory: fixed once running; Push takes no more than BytesAccepted says.
/// Thread: one caller at a time, not always the same.
class SpeechTimeline {
 public:
  static Result<std::unique_ptr<SpeechTimeline>> Create(
      const TimelineOptions& options, std::shared_ptr<const generator::Generator> generator,
      StageTimes& times);

  /// How many bytes Push takes now; 0 when the mel store is full of frames not yet dropped.
  size_t BytesAccepted() const;
  Status Push(std::span<const std::byte> bytes);

  /// No more audio. The stream has `model_frames` frames; silence follows as far as they look.
  Status Finish(int64_t model_frames);
  /// Goes on with work Push or Finish left over for want of room. True if anything moved.
  Result<bool> Advance();

  /// Reference edges only, once finished: how many frames the reference makes.
  std::optional<int64_t> reference_frames() const { return window_count_; }

  bool Ready(int64_t frame) const;
  /// How much of the new mouth is shown, 0 (source picture) .. 1. Needs Ready(frame).
  float Weight(int64_t frame) const;
  /// Encodes the windows this frame needs and were not encoded yet, then fills its rows.
  Status FillContext(int64_t frame, std::span<float> context);
  /// Frames before this one will not be asked for again.
  void DropBefore(int64_t frame);

  /// Starts anew at `sample` of the 16 kHz timeline, keeping what was heard before it as context.
  /// The edges are kSilence from here on: the reference knows only whole files.
  Status Restart(int64_t sample_16k);

  Edges edges() const { return edges_; }
  bool opposite_phase() const { return mono_.opposite_phase(); }
  int64_t non_finite_samples() const { return mono_.non_finite_samples(); }

 private:
  SpeechTimeline(const TimelineOptions& options,
                 std::shared_ptr<const generator::Generator> generator, StageTimes& times,
                 audio::MonoConverter mono);

  Status StartSegment(int64_t origin_frame);
  Status Feed(std::span<const float> mono);  // into the mel stream, the meter and the history
  Result<bool> FeedPending();
  bool hears_samples() const { return mel_ == nullptr; }
  int64_t SamplesAccepted() const;
  Status EndAsReference();                    // sets window_count_
  int64_t SamplesMissing() const;             // of silence, as far as the last frame looks
  int64_t WindowBegin(int64_t window) const;  // sample at 16 kHz, of a window of samples
  int64_t WindowEnd(int64_t feature) const;   // of the window that gives this feature
  void Measure(std::span<const float> mono);
  Status PushToMel(std::span<const float> mono);
  void TapMel();
  bool WindowsReady(int64_t frame) const;
  int64_t WindowStartFrame(int64_t window) const;
  Status EnsureEncoded(int64_t first, int64_t last);
  Status EnsureHeard(int64_t first, int64_t last);  // the same of samples
  void TapFeature(int64_t index, std::span<const float> window, std::span<const float> features);
  bool FrameActive(int64_t frame) const;

  const TimelineOptions options_;
  const std::shared_ptr<const generator::Generator> generator_;
  const generator::AudioContext context_;
  StageTimes& times_;
  Edges edges_;

  audio::MonoConverter mono_;
  std::optional<audio::Resampler> resampler_;
  std::unique_ptr<audio::MelStream> mel_;  // null where the model hears samples
  audio::MelTimes counted_times_;          // what of mel_->times() is in times_ already
  generator::FeatureRing features_;
  std::vector<float> converted_, pending_;  // pending_[pending_at_..] waits for room in mel_
  size_t pending_at_ = 0;

  // The mel stream of a segment begins at model frame origin_frame_, a multiple of 5, so that
  // window starts fall on the same mel frames as if it had run from 0.
  int64_t origin_frame_ = 0;
  SampleHistory history_;  // what was fed, counted from the stream's start
  int64_t keep_from_ = 0;  // no window of samples begins before

  // Loudness by model frame: a frame is settled once all its samples are in.
  double sum_ = 0, sum_of_squares_ = 0;
  int64_t settled_frames_ = 0;
  std::vector<uint8_t> active_;  // ring by frame

  bool finished_ = false;
  int64_t model_frames_ = 0;
  std::optional<int64_t> window_count_;
  int64_t tapped_mel_frames_ = 0, tapped_windows_ = 0;
  std::vector<float> window_batch_, feature_batch_;
};

}  // namespace lipcast::pipeline
