#include "lipcast/audio/resampler.h"

#include <soxr.h>

#include <algorithm>
#include <utility>

#include "lipcast/audio/audio_format.h"
#include "lipcast/base/rational.h"

namespace lipcast::audio {
namespace {

// soxr is asked for this many samples at a time, whatever the size of the input.
constexpr size_t kBlockSamples = 4096;

}  // namespace

struct Resampler::Soxr {
  soxr_t handle = nullptr;
  std::vector<float> block;
  explicit Soxr(size_t channels) : block(kBlockSamples * channels) {}
  Soxr(const Soxr&) = delete;
  Soxr& operator=(const Soxr&) = delete;
  ~Soxr() { soxr_delete(handle); }
};

Result<Resampler> Resampler::Create(int from_hz, int to_hz, int channels) {
  LC_ENSURE(channels >= 1 && channels <= kMaxChannels);
  for (const int rate_hz : {from_hz, to_hz}) {
    if (rate_hz >= kMinRateHz && rate_hz <= kMaxRateHz) continue;
    return Status(Code::kInvalidArgument, "resampling " + std::to_string(from_hz) + " to " +
                                              std::to_string(to_hz) + " Hz: want both in " +
                                              std::to_string(kMinRateHz) + ".." +
                                              std::to_string(kMaxRateHz));
  }
  if (from_hz == to_hz) return Resampler(from_hz, to_hz, channels, nullptr);
  auto soxr = std::make_unique<Soxr>(static_cast<size_t>(channels));
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  soxr_error_t error = nullptr;
  soxr->handle = soxr_create(from_hz, to_hz, static_cast<unsigned>(channels), &error, nullptr,
                             &quality, nullptr);
  if (error != nullptr) {
    return Status(Code::kInternal, "resampling " + std::to_string(from_hz) + " to " +
                                       std::to_string(to_hz) + " Hz: soxr: " + error);
  }
  return Resampler(from_hz, to_hz, channels, std::move(soxr));
}

Resampler::Resampler(int from_hz, int to_hz, int channels, std::unique_ptr<Soxr> soxr)
    : from_hz_(from_hz),
      to_hz_(to_hz),
      channels_(static_cast<size_t>(channels)),
      soxr_(std::move(soxr)) {}
Resampler::Resampler(Resampler&&) noexcept = default;
Resampler& Resampler::operator=(Resampler&&) noexcept = default;
Resampler::~Resampler() = default;

Status Resampler::Push(std::span<const float> samples, std::vector<float>* out) {
  LC_ENSURE(samples.size() % channels_ == 0);
  const auto count = static_cast<int64_t>(samples.size() / channels_);
  if (finished_) {
    return Status(Code::kFailedPrecondition,
                  "resampler: " + std::to_string(count) + " samples pushed after Finish()");
  }
  samples_in_ += count;
  if (soxr_ == nullptr) {
    out->insert(out->end(), samples.begin(), samples.end());
    samples_out_ += count;
    return Status();
  }
  return samples.empty() ? Status() : Drain(samples, /*flush=*/false, out);
}

Status Resampler::Finish(std::vector<float>* out) {
  if (std::exchange(finished_, true) || soxr_ == nullptr) return Status();
  if (samples_in_ > 0) LC_RETURN_IF_ERROR(Drain({}, /*flush=*/true, out));
  // soxr rounds the length; what it lacks of the ceiling is less than a sample's worth.
  const int64_t missing = MulDivCeil(samples_in_, to_hz_, from_hz_) - samples_out_;
  if (missing > 0) out->resize(out->size() + static_cast<size_t>(missing) * channels_, 0.0f);
  if (missing < 0) {
    out->resize(out->size() - std::min(out->size(), static_cast<size_t>(-missing) * channels_));
  }
  samples_out_ += missing;
  return Status();
}

Status Resampler::Drain(std::span<const float> samples, bool flush, std::vector<float>* out) {
  for (;;) {
    size_t taken = 0, made = 0;
    const soxr_error_t error =
        soxr_process(soxr_->handle, flush ? nullptr : samples.data(), samples.size() / channels_,
                     &taken, soxr_->block.data(), kBlockSamples, &made);
    if (error != nullptr) {
      return Status(Code::kInternal, std::string("resampler: soxr: ") + error);
    }
    samples = samples.subspan(taken * channels_);
    out->insert(out->end(), soxr_->block.begin(),
                soxr_->block.begin() + static_cast<ptrdiff_t>(made * channels_));
    samples_out_ += static_cast<int64_t>(made);
    if (made == kBlockSamples) continue;  // there may be more
    if (samples.empty() && (!flush || made == 0)) return Status();
    if (taken == 0 && made == 0) return Status(Code::kInternal, "resampler: soxr stands still");
  }
}

}  // namespace lipcast::audio
