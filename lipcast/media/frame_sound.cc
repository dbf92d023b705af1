#include "lipcast/media/frame_sound.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "lipcast/media/sample_convert.h"

namespace lipcast::media {
namespace {

/// soxr works in blocks: at the worst pair of rates it is this far behind what it was given.
constexpr int kAheadMs = 250;
/// What a restarted filter is given of the sound before, so that it sounds as if never stopped.
constexpr int kBeforeMs = 250;

void AppendS16(std::span<const float> samples, std::string* out) {
  for (const float sample : samples) {
    const auto level =
        static_cast<int16_t>(std::lround(std::clamp(sample * 32768.0f, -32768.0f, 32767.0f)));
    out->push_back(static_cast<char>(level & 0xFF));
    out->push_back(static_cast<char>(level >> 8 & 0xFF));
  }
}

}  // namespace

FrameSound::FrameSound(const audio::AudioFormat& input, int rate_hz, const Rational& fps)
    : input_(input), rate_hz_(rate_hz), fps_(fps), ahead_samples_(AheadSamples(input, rate_hz)) {}

Result<FrameSound> FrameSound::Create(const audio::AudioFormat& input, int rate_hz,
                                      const Rational& fps) {
  LC_RETURN_IF_ERROR(input.Validate());
  if (rate_hz < audio::kMinRateHz || rate_hz > audio::kMaxRateHz) {
    return Status(Code::kInvalidArgument, "sound_rate_hz = " + std::to_string(rate_hz) + ": want " +
                                              std::to_string(audio::kMinRateHz) + ".." +
                                              std::to_string(audio::kMaxRateHz));
  }
  FrameSound sound(input, rate_hz, fps);
  LC_RETURN_IF_ERROR(sound.Restart(0));
  return sound;
}

int FrameSound::AheadSamples(const audio::AudioFormat& input, int rate_hz) {
  return rate_hz == input.rate_hz ? 0 : input.rate_hz * kAheadMs / 1000;
}

size_t FrameSound::BytesOf(int64_t samples) const {
  return static_cast<size_t>(samples * input_.frame_bytes());
}

/// The filter has heard what came before input sample `begin`, and nothing else.
Status FrameSound::Restart(int64_t begin) {
  LC_ASSIGN_OR_RETURN(auto fresh,
                      audio::Resampler::Create(input_.rate_hz, rate_hz_, input_.channels));
  resampler_.emplace(std::move(fresh));
  // From where a sample of one rate falls on one of the other, if that is not far.
  const int64_t step = input_.rate_hz / std::gcd(input_.rate_hz, rate_hz_);
  const int64_t before = input_.rate_hz * kBeforeMs / 1000;
  int64_t from = std::max(begin - before, fed_from_);
  if (const int64_t next = MulDivCeil(from, 1, step) * step; next < begin - before / 2) from = next;
  fed_.erase(fed_.begin(), fed_.begin() + static_cast<ptrdiff_t>(BytesOf(from - fed_from_)));
  fed_.resize(BytesOf(begin - from));
  fed_from_ = from;
  made_from_ = (2 * from * rate_hz_ + input_.rate_hz) / (2 * int64_t{input_.rate_hz});
  made_.clear();
  const std::vector<std::byte> before_it = std::exchange(fed_, {});
  fed_to_ = from;
  return Feed(before_it);
}

Status FrameSound::Feed(std::span<const std::byte> bytes) {
  fed_.insert(fed_.end(), bytes.begin(), bytes.end());
  fed_to_ += static_cast<int64_t>(bytes.size()) / input_.frame_bytes();
  floats_.resize(bytes.size() / static_cast<size_t>(input_.frame_bytes()) *
                 static_cast<size_t>(input_.channels));
  SamplesToFloat(input_.type, bytes, floats_);
  return resampler_->Push(floats_, &made_);
}

Status FrameSound::Convert(std::span<const std::byte> sound, std::span<const std::byte> ahead,
                           std::string* out) {
  const int64_t begin = FirstInput(next_frame_), end = FirstInput(next_frame_ + 1);
  heard_.assign(sound.begin(), sound.end());
  heard_.insert(heard_.end(), ahead.begin(), ahead.end());
  heard_.resize(BytesOf(end - begin + ahead_samples_), audio::SilenceByte(input_.type));

  const auto known = std::span(fed_).subspan(BytesOf(begin - fed_from_));
  if (!std::equal(known.begin(), known.end(), heard_.begin())) LC_RETURN_IF_ERROR(Restart(begin));
  LC_RETURN_IF_ERROR(Feed(std::span(heard_).subspan(BytesOf(fed_to_ - begin))));

  const auto channels = static_cast<size_t>(input_.channels);
  const int64_t first = FirstOutput(next_frame_), last = FirstOutput(next_frame_ + 1);
  ++next_frame_;
  const auto from = static_cast<size_t>(first - made_from_) * channels;
  const auto count = static_cast<size_t>(last - first) * channels;
  if (first < made_from_ || made_.size() < from + count) {
    return Status(Code::kInternal, "soxr is late at " + std::to_string(input_.rate_hz) + " to " +
                                       std::to_string(rate_hz_) + " Hz");
  }
  AppendS16(std::span(made_).subspan(from, count), out);
  made_.erase(made_.begin(), made_.begin() + static_cast<ptrdiff_t>(from + count));
  made_from_ = last;
  const int64_t keep = std::max(fed_from_, end - input_.rate_hz * kBeforeMs / 1000);
  fed_.erase(fed_.begin(), fed_.begin() + static_cast<ptrdiff_t>(BytesOf(keep - fed_from_)));
  fed_from_ = keep;
  return {};
}

}  // namespace lipcast::media
