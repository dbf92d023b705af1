#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lipcast/base/status.h"

namespace lipcast::audio {

/// Interleaved float, mono unless said, from one rate to another, as a stream: soxr at its HQ
/// setting, the resampler the models' training used. Equal rates pass through untouched.
/// Time:   no delay: sample n that comes out is at n / to seconds. It comes out once up to 0.2 s
///         after it went in.
/// Length: after Finish exactly ceil(pushed * to / from) samples of each channel in all.
/// Pieces: how the input is cut never changes a bit of the output.
/// Thread: one caller at a time.
class Resampler {
 public:
  /// kInvalidArgument unless both rates are in 8000..192000 Hz.
  static Result<Resampler> Create(int from_hz, int to_hz, int channels = 1);
  Resampler(Resampler&&) noexcept;
  Resampler& operator=(Resampler&&) noexcept;
  ~Resampler();

  /// Appends what is ready to `out`; the filter holds some back until more comes. Whole sample
  /// frames only. kFailedPrecondition after Finish.
  Status Push(std::span<const float> samples, std::vector<float>* out);
  /// Appends the rest. A second call appends nothing.
  Status Finish(std::vector<float>* out);

  int64_t samples_in() const { return samples_in_; }  ///< of each channel
  int64_t samples_out() const { return samples_out_; }

 private:
  struct Soxr;
  Resampler(int from_hz, int to_hz, int channels, std::unique_ptr<Soxr> soxr);
  Status Drain(std::span<const float> samples, bool flush, std::vector<float>* out);

  int from_hz_, to_hz_;
  size_t channels_;
  std::unique_ptr<Soxr> soxr_;  // null when the rates are equal
  int64_t samples_in_ = 0, samples_out_ = 0;
  bool finished_ = false;
};

}  // namespace lipcast::audio
