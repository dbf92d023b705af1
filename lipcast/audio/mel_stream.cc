#include "lipcast/audio/mel_stream.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <string>

#include "lipcast/audio/mel_bank.h"
#include "lipcast/audio/mel_reference.h"

namespace lipcast::audio {
namespace {

constexpr int kPadSamples = kFftSize / 2;
// Mirroring at an end reads this many samples inwards from it.
constexpr int kReflectSamples = kPadSamples + 1;
constexpr int kMaxCapacityFrames = 10'000'000;

// Besides the frames of the capacity there is always room for those that Finish() adds.
int64_t SlotCount(int capacity_frames, int hop_samples) {
  const int last_frames = (kPadSamples + hop_samples - 1) / hop_samples;
  const int64_t frames = int64_t{capacity_frames} + last_frames;
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(frames)));
}

// Never a power of two, so that rows do not fight over the same cache lines.
ptrdiff_t BandStride(int64_t slots) { return slots + kWindowFrames; }

hwy::AlignedFreeUniquePtr<float[]> ZeroedFloats(size_t count) {
  auto floats = hwy::AllocateAligned<float>(count);
  std::fill_n(floats.get(), count, 0.0f);
  return floats;
}

}  // namespace

void MelWindow::CopyTo(std::span<float> out) const {
  assert(out.size() >= size());
  float* to = out.data();
  for (int b = 0; b < bands; ++b, to += frames) {
    std::memcpy(to, data + b * band_stride, static_cast<size_t>(frames) * sizeof(float));
  }
}

Result<std::unique_ptr<MelStream>> MelStream::Create(const MelConfig& config, int capacity_frames) {
  LC_RETURN_IF_ERROR(config.Validate());
  if (capacity_frames < kWindowFrames || capacity_frames > kMaxCapacityFrames) {
    return Status(Code::kInvalidArgument, "mel capacity " + std::to_string(capacity_frames) +
                                              " frames: want " + std::to_string(kWindowFrames) +
                                              ".." + std::to_string(kMaxCapacityFrames));
  }
  return std::unique_ptr<MelStream>(new MelStream(config, capacity_frames, ChooseMelKernels()));
}

MelStream::MelStream(const MelConfig& config, int capacity_frames, const MelKernels& kernels)
    : config_(config),
      capacity_frames_(capacity_frames),
      kernels_(kernels),
      plan_(MakeStftPlan(kernels.lanes, config.hop_samples, PeriodicHann())),
      bank_(MakeSlaneyBank(config)),
      slot_mask_(SlotCount(capacity_frames, config.hop_samples) - 1),
      band_stride_(BandStride(slot_mask_ + 1)) {
  const auto lanes = static_cast<size_t>(kernels_.lanes);
  const auto bands = static_cast<size_t>(config_.bands);
  // A batch, what mirroring and the next frames still need of the past, and as much again so that
  // samples seldom move.
  samples_capacity_ = 2 * (plan_.samples_read() + kFftSize + kReflectSamples + kPadSamples);
  samples_.resize(samples_capacity_ + plan_.samples_read());
  ring_ = ZeroedFloats(bands * static_cast<size_t>(band_stride_));
  scratch_ = ZeroedFloats(plan_.scratch_floats());
  magnitudes_ = ZeroedFloats(kMagnitudeRows * lanes);
  mel_ = ZeroedFloats(bands * lanes);
  columns_ = ZeroedFloats(bands * lanes);
  // The zeros of the padding are there already; mirrored samples replace them in PadStart.
  buffered_ = kPadSamples;
  start_padded_ = config_.padding == Padding::kZero;
}

int64_t MelStream::SamplesAccepted() const {
  if (finished_) return 0;
  // Frame `limit`, the first without room, is ready with its last sample: one fewer may come.
  const int64_t limit = first_frame() + capacity_frames_;
  return limit * config_.hop_samples + kFftSize / 2 - 1 - pushed_;
}

Status MelStream::Push(std::span<const float> mono16k) {
  if (finished_) {
    return Status(Code::kFailedPrecondition, "mel stream: " + std::to_string(mono16k.size()) +
                                                 " samples pushed after Finish()");
  }
  if (static_cast<int64_t>(mono16k.size()) > SamplesAccepted()) {
    return Status(Code::kResourceExhausted,
                  "mel stream: " + std::to_string(mono16k.size()) + " samples pushed, room for " +
                      std::to_string(SamplesAccepted()) + " until frames are dropped");
  }
  while (!mono16k.empty()) {
    if (buffered_ == samples_capacity_) Compact();
    const size_t count = std::min(mono16k.size(), samples_capacity_ - buffered_);
    Append(mono16k.data(), count);
    mono16k = mono16k.subspan(count);
    if (!start_padded_ && pushed_ >= kReflectSamples) PadStart();
    ComputeFrames(/*partial_batches=*/mono16k.empty());
  }
  return Status();
}

Status MelStream::Finish() {
  if (finished_) return Status();
  finished_ = true;
  if (pushed_ == 0) return Status();
  if (!start_padded_) PadStart();
  if (samples_capacity_ - buffered_ < kPadSamples) Compact();
  AppendEdge();
  ComputeFrames(/*partial_batches=*/true);
  LC_ENSURE(frames_ready() == MelFrameCount(pushed_, config_.hop_samples));
  return Status();
}

void MelStream::DropBefore(int64_t frame) {
  frame = std::min(frame, frames_ready());
  if (frame > first_frame()) dropped_.store(frame, std::memory_order_release);
}

Status MelStream::WindowRefusal(int64_t start_frame) const {
  return Status(Code::kOutOfRange, "mel window at frame " + std::to_string(start_frame) +
                                       ": the frames held are " + std::to_string(first_frame()) +
                                       ".." + std::to_string(frames_ready() - 1) + ", want 16");
}

void MelStream::Append(const float* mono, size_t count) {
  constexpr auto kFactor = static_cast<float>(kPreEmphasis);
  float* to = samples_.data() + buffered_;
  to[0] = mono[0] - kFactor * previous_;
  for (size_t n = 1; n < count; ++n) to[n] = mono[n] - kFactor * mono[n - 1];
  previous_ = mono[count - 1];
  buffered_ += count;
  pushed_ += static_cast<int64_t>(count);
}

void MelStream::PadStart() {
  float* first = samples_.data() + kPadSamples;
  for (int i = 1; i <= kPadSamples; ++i) first[-i] = first[ReflectIndex(-i, pushed_)];
  start_padded_ = true;
}

void MelStream::AppendEdge() {
  float* end = samples_.data() + buffered_;
  for (int i = 0; i < kPadSamples; ++i) {
    end[i] = config_.padding == Padding::kZero ? 0.0f
                                               : end[ReflectIndex(pushed_ + i, pushed_) - pushed_];
  }
  buffered_ += kPadSamples;
}

void MelStream::Compact() {
  const int64_t next_frame = frames_ready() * config_.hop_samples;
  const int64_t end = buffer_position_ + static_cast<int64_t>(buffered_);
  const int64_t keep = std::min(next_frame, end - kReflectSamples);
  const auto gone = static_cast<size_t>(std::max<int64_t>(keep - buffer_position_, 0));
  buffered_ -= gone;
  std::memmove(samples_.data(), samples_.data() + gone, buffered_ * sizeof(float));
  buffer_position_ += static_cast<int64_t>(gone);
}

void MelStream::ComputeFrames(bool partial_batches) {
  if (!start_padded_) return;
  const int64_t end = buffer_position_ + static_cast<int64_t>(buffered_);
  if (end < kFftSize) return;
  int64_t limit = (end - kFftSize) / config_.hop_samples + 1;
  // Padding alone may hold one frame more than the signal has.
  if (finished_) limit = std::min(limit, MelFrameCount(pushed_, config_.hop_samples));
  while (frames_ready() < limit) {
    const int64_t left = limit - frames_ready();
    if (left < kernels_.lanes && !partial_batches) return;
    ComputeBatch(static_cast<int>(std::min<int64_t>(left, kernels_.lanes)));
  }
}

void MelStream::ComputeBatch(int frames) {
  using Clock = std::chrono::steady_clock;
  const int64_t first = frames_ready();
  const float* from = samples_.data() + (first * config_.hop_samples - buffer_position_);
  const auto begin = Clock::now();
  kernels_.stft(plan_, from, scratch_.get(), magnitudes_.get());
  const auto after_stft = Clock::now();
  kernels_.filterbank(bank_, magnitudes_.get(), mel_.get());
  const auto after_filterbank = Clock::now();
  kernels_.log(config_.bands, mel_.get());
  const auto after_log = Clock::now();
  const int64_t slot = first & slot_mask_;
  // A whole batch may go straight to its place; a store of all lanes must not touch other frames.
  if (frames == kernels_.lanes && slot + frames <= slot_mask_ + 1) {
    kernels_.normalise(config_.bands, mel_.get(), ring_.get() + slot, band_stride_);
  } else {
    kernels_.normalise(config_.bands, mel_.get(), columns_.get(), kernels_.lanes);
    PlaceColumns(first, frames);
  }
  MirrorFirstSlots(first, frames);
  const auto end = Clock::now();
  times_.stft += after_stft - begin;
  times_.filterbank += after_filterbank - after_stft;
  times_.log += after_log - after_filterbank;
  times_.normalise += end - after_log;
  ready_.store(first + frames, std::memory_order_release);
}

void MelStream::PlaceColumns(int64_t first, int frames) {
  for (int f = 0; f < frames; ++f) {
    float* to = ring_.get() + ((first + f) & slot_mask_);
    const float* from = columns_.get() + f;
    for (ptrdiff_t b = 0; b < config_.bands; ++b) to[b * band_stride_] = from[b * kernels_.lanes];
  }
}

void MelStream::MirrorFirstSlots(int64_t first, int frames) {
  for (int f = 0; f < frames; ++f) {
    const int64_t slot = (first + f) & slot_mask_;
    if (slot >= kWindowFrames - 1) continue;
    float* at = ring_.get() + slot;
    for (int b = 0; b < config_.bands; ++b, at += band_stride_) at[slot_mask_ + 1] = *at;
  }
}

}  // namespace lipcast::audio
