#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <hwy/aligned_allocator.h>

#include "lipcast/audio/mel_config.h"
#include "lipcast/audio/mel_kernels.h"
#include "lipcast/audio/mel_window.h"
#include "lipcast/base/status.h"

namespace lipcast::audio {

/// Sixteen consecutive log-mel frames, borrowed from a MelStream: frame f of band b is
/// data[b * band_stride + f]. Holds until DropBefore() passes its first frame.
struct MelWindow {
  const float* data = nullptr;
  ptrdiff_t band_stride = 0;  ///< in floats
  int bands = 0;
  int frames = 0;

  float at(int band, int frame) const { return data[band * band_stride + frame]; }
  size_t size() const { return static_cast<size_t>(bands) * frames; }
  /// Writes [bands][frames] tightly into the first size() floats of `out`, which must have them.
  void CopyTo(std::span<float> out) const;
};

/// Where the time of a stream's mel frames went, summed over its batches.
struct MelTimes {
  std::chrono::nanoseconds stft{0};
  std::chrono::nanoseconds filterbank{0};
  std::chrono::nanoseconds log{0};
  std::chrono::nanoseconds normalise{0};
};

/// Log-mel frames of one stream: Push.. -> frames_ready() -> Window() -> DropBefore() -> Finish().
/// Shape:  a window is [bands][16] float32, band-major with a row stride, normalised to [-4, 4].
/// Index:  counts from the first sample ever pushed; DropBefore does not renumber. Frame t is
///         centred on sample t * hop and ready once its 800 samples are all there.
/// Memory: bounded; when full Push returns kResourceExhausted. No allocation after Create.
/// Thread: one writer (Push, Finish, DropBefore, times). frames_ready() and Window() may be called,
///         and a view read, from any thread until DropBefore passes it.
/// Source: docs/numerics.md 1, within 1e-4 on every frame of speech. How the samples are cut
///         into pieces, and which frames share a batch, never changes a bit.
class MelStream {
 public:
  /// kInvalidArgument when the config is not valid or `capacity_frames`, how many frames stay
  /// viewable (those that Finish() adds come on top), is not in 16..10000000.
  static Result<std::unique_ptr<MelStream>> Create(const MelConfig& config, int capacity_frames);

  /// Takes all of `mono16k`, mono in [-1, 1] at the config's rate, or none of it:
  /// kResourceExhausted when more than SamplesAccepted(), kFailedPrecondition after Finish().
  Status Push(std::span<const float> mono16k);
  /// Ends the signal: the frames at its end follow, 1 + floor(samples / hop) in all (none of none).
  /// There is always room for them. A second call changes nothing.
  Status Finish();

  int64_t frames_ready() const { return ready_.load(std::memory_order_acquire); }
  int64_t samples_pushed() const { return pushed_; }
  bool finished() const { return finished_; }
  /// How many more samples fit now.
  int64_t SamplesAccepted() const;

  /// The frames [start_frame, start_frame + 16). kOutOfRange when not all of them are ready, when
  /// they were dropped, or when the index is negative.
  Result<MelWindow> Window(int64_t start_frame) const {
    if (!Viewable(start_frame)) return WindowRefusal(start_frame);
    return ViewOf(start_frame);
  }
  /// The same without words: data is null where Window() would refuse. For loops over many.
  MelWindow TryWindow(int64_t start_frame) const noexcept {
    return Viewable(start_frame) ? ViewOf(start_frame) : MelWindow{};
  }
  /// Gives the room of the frames before `frame` back. Never moves backwards, and not past the
  /// frames that are ready.
  void DropBefore(int64_t frame);
  int64_t first_frame() const { return dropped_.load(std::memory_order_acquire); }

  const MelTimes& times() const { return times_; }
  const MelConfig& config() const { return config_; }

 private:
  MelStream(const MelConfig& config, int capacity_frames, const MelKernels& kernels);

  bool Viewable(int64_t start_frame) const noexcept {
    return start_frame >= first_frame() && start_frame <= frames_ready() - kWindowFrames;
  }
  MelWindow ViewOf(int64_t start_frame) const noexcept {
    return {ring_.get() + (start_frame & slot_mask_), band_stride_, config_.bands, kWindowFrames};
  }
  Status WindowRefusal(int64_t start_frame) const;

  void Append(const float* mono, size_t count);
  void AppendEdge();  // what follows the last sample
  void PadStart();    // what precedes the first sample, once that is known
  void Compact();     // forgets the samples no later frame reads
  void ComputeFrames(bool partial_batches);
  void ComputeBatch(int frames);
  void PlaceColumns(int64_t first, int frames);
  void MirrorFirstSlots(int64_t first, int frames);

  const MelConfig config_;
  const int capacity_frames_;
  const MelKernels kernels_;
  const StftPlan plan_;
  const FlatBank bank_;

  // Pre-emphasised samples; position 0 of the stream is the first sample of padding.
  std::vector<float> samples_;
  size_t samples_capacity_ = 0;  // samples_ is longer: a batch reads past the last frame
  size_t buffered_ = 0;
  int64_t buffer_position_ = 0;  // of samples_[0]
  float previous_ = 0;
  int64_t pushed_ = 0;
  bool start_padded_ = false;
  bool finished_ = false;

  // [bands][band_stride]: frame t in slot t % slots, a power of two; the first 15 slots again
  // after the last, so that any 16 frames in a row lie side by side.
  const int64_t slot_mask_;
  const ptrdiff_t band_stride_;
  hwy::AlignedFreeUniquePtr<float[]> ring_;
  hwy::AlignedFreeUniquePtr<float[]> scratch_, magnitudes_, mel_, columns_;
  std::atomic<int64_t> ready_{0};
  std::atomic<int64_t> dropped_{0};
  MelTimes times_;
};

}  // namespace lipcast::audio
