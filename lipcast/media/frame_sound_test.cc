#include "lipcast/media/frame_sound.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using audio::AudioFormat;
using audio::SampleType;

std::vector<int16_t> SamplesOf(const std::string& bytes) {
  std::vector<int16_t> samples(bytes.size() / 2);
  std::memcpy(samples.data(), bytes.data(), samples.size() * 2);
  return samples;
}

/// The frames of `pcm`, one after the other, and what each gave.
std::vector<std::string> Frames(const AudioFormat& format, int rate_hz, const Rational& fps,
                                std::span<const std::byte> pcm, int64_t frames) {
  auto sound = FrameSound::Create(format, rate_hz, fps);
  EXPECT_TRUE(sound.ok()) << sound.status().ToString();
  const auto size = static_cast<int64_t>(pcm.size()), sample = int64_t{format.frame_bytes()};
  const int64_t ahead = FrameSound::AheadSamples(format, rate_hz) * sample;
  std::vector<std::string> out;
  for (int64_t i = 0; i < frames; ++i) {
    const int64_t begin = std::min(size, FirstSample(i, format.rate_hz, fps) * sample);
    const int64_t end = std::min(size, FirstSample(i + 1, format.rate_hz, fps) * sample);
    const int64_t after = std::min(size, end + ahead);
    const auto piece = [&](int64_t from, int64_t to) {
      return pcm.subspan(static_cast<size_t>(from), static_cast<size_t>(to - from));
    };
    const Status status = sound->Convert(piece(begin, end), piece(end, after), &out.emplace_back());
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  return out;
}

std::string Joined(const std::vector<std::string>& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

std::vector<std::byte> Sine(int rate_hz, int64_t samples, double hz = 440) {
  std::vector<std::byte> bytes(static_cast<size_t>(samples) * 2);
  for (int64_t i = 0; i < samples; ++i) {
    const auto level = static_cast<int16_t>(std::lround(
        16000 * std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / rate_hz)));
    std::memcpy(bytes.data() + 2 * i, &level, 2);
  }
  return bytes;
}

TEST(FrameSound, GivesEveryFrameItsSamplesAtAnyPairOfRatesAndFrameRate) {
  const int rates[] = {8000, 11025, 16000, 22050, 24000, 44100, 44101, 48000, 96000, 192000};
  for (const int from_hz : rates) {
    for (const int to_hz : rates) {
      const Rational fps = from_hz % 3 == 0   ? Rational{30000, 1001}
                           : from_hz % 7 == 0 ? Rational{1, 1}
                                              : Rational{25, 1};
      const AudioFormat format{.rate_hz = from_hz, .channels = 1, .type = SampleType::kS16};
      const auto frames = static_cast<int64_t>(1.5 * fps.value()) + 2;
      const auto pcm = Sine(from_hz, FirstSample(frames, from_hz, fps));
      const auto pieces = Frames(format, to_hz, fps, pcm, frames);
      for (int64_t i = 0; i < frames; ++i) {
        ASSERT_EQ(static_cast<int64_t>(pieces[static_cast<size_t>(i)].size()),
                  2 * (FirstSample(i + 1, to_hz, fps) - FirstSample(i, to_hz, fps)))
            << from_hz << " to " << to_hz << ", frame " << i;
      }
      // The same tone at the same time, from soon after its sudden begin to shortly before its end.
      const auto found = SamplesOf(Joined(pieces));
      const auto wanted = SamplesOf([&] {
        const auto bytes = Sine(to_hz, static_cast<int64_t>(found.size()));
        return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      }());
      const size_t edge = static_cast<size_t>(to_hz) / 20;
      double worst = 0;
      for (size_t k = edge; k + edge < found.size(); ++k) {
        worst = std::max(worst, std::fabs(double(found[k]) - wanted[k]));
      }
      // Half a sample late at 8 kHz would be 2700.
      EXPECT_LE(worst, 60) << from_hz << " to " << to_hz;
    }
  }
}

TEST(FrameSound, OfS16AtItsOwnRateIsTheInputAndTheLastFrameIsFilledUp) {
  const AudioFormat format{.rate_hz = 16000, .channels = 2, .type = SampleType::kS16};
  EXPECT_EQ(FrameSound::AheadSamples(format, 16000), 0);
  const auto pcm = test::Tone(format, 640 * 3 + 100);
  const auto pieces = Frames(format, 16000, {25, 1}, pcm, 4);
  std::string wanted(reinterpret_cast<const char*>(pcm.data()), pcm.size());
  wanted.resize(640 * 4 * 4);
  EXPECT_EQ(Joined(pieces), wanted);
}

TEST(FrameSound, TakesEverySampleTypeAndKeepsChannelsApart) {
  for (const SampleType type :
       {SampleType::kU8, SampleType::kS24, SampleType::kS32, SampleType::kF32, SampleType::kF64}) {
    const AudioFormat format{.rate_hz = 16000, .channels = 2, .type = type};
    const AudioFormat s16{.rate_hz = 16000, .channels = 2, .type = SampleType::kS16};
    const auto found =
        SamplesOf(Joined(Frames(format, 48000, {25, 1}, test::Tone(format, 16000), 25)));
    const auto wanted = SamplesOf(Joined(Frames(s16, 48000, {25, 1}, test::Tone(s16, 16000), 25)));
    ASSERT_EQ(found.size(), wanted.size());
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(found[i], wanted[i], type == SampleType::kU8 ? 300 : 3) << i;
    }
  }
  for (const SampleType type : {SampleType::kMulaw, SampleType::kAlaw}) {
    const AudioFormat format{.rate_hz = 8000, .channels = 1, .type = type};
    const std::vector<std::byte> silence(8000, audio::SilenceByte(type));
    for (const int16_t sample : SamplesOf(Joined(Frames(format, 44100, {25, 1}, silence, 25)))) {
      ASSERT_LE(std::abs(sample), 16);  // A-law has no zero
    }
  }
}

TEST(FrameSound, ClipsFloatsAndSilencesWhatIsNotANumber) {
  const AudioFormat format{.rate_hz = 16000, .channels = 1, .type = SampleType::kF32};
  const float levels[] = {2.0f, -2.0f, NAN, 0.5f};
  std::vector<std::byte> pcm(sizeof levels);
  std::memcpy(pcm.data(), levels, sizeof levels);
  const auto found = SamplesOf(Joined(Frames(format, 16000, {25, 1}, pcm, 1)));
  ASSERT_EQ(found.size(), 640U);
  EXPECT_EQ(std::vector<int16_t>(found.begin(), found.begin() + 5),
            (std::vector<int16_t>{32767, -32768, 0, 16384, 0}));
}

// What a clear does: the sound after frame 20 is not what frames up to 19 were told it would be.
TEST(FrameSound, StartsAgainFromTheSoundAsItIsWhereTheSoundAheadChanges) {
  for (const auto& [from_hz, to_hz] : {std::pair{16000, 48000}, {48000, 24000}, {44101, 8000}}) {
    const AudioFormat format{.rate_hz = from_hz, .channels = 1, .type = SampleType::kS16};
    const Rational fps{25, 1};
    const auto before = Sine(from_hz, 2 * from_hz);
    const auto whole = Joined(Frames(format, to_hz, fps, before, 20));
    auto changed = Sine(from_hz, 2 * from_hz, 300);
    const size_t cut = static_cast<size_t>(FirstSample(20, from_hz, fps)) * 2;
    std::copy_n(before.begin(), cut, changed.begin());

    auto sound = FrameSound::Create(format, to_hz, fps);
    LC_ASSERT_OK(sound);
    const auto ahead = static_cast<size_t>(FrameSound::AheadSamples(format, to_hz)) * 2;
    std::string out;
    for (int64_t i = 0; i < 40; ++i) {
      const auto& told = i < 20 ? before : changed;
      const size_t begin = static_cast<size_t>(FirstSample(i, from_hz, fps)) * 2;
      const size_t end = static_cast<size_t>(FirstSample(i + 1, from_hz, fps)) * 2;
      const size_t after = std::min(told.size(), end + ahead);
      LC_ASSERT_OK(sound->Convert(std::span(told).subspan(begin, end - begin),
                                  std::span(told).subspan(end, after - end), &out));
    }
    const auto found = SamplesOf(out), old = SamplesOf(whole);
    ASSERT_EQ(found.size(), static_cast<size_t>(FirstSample(40, to_hz, fps)));
    EXPECT_TRUE(std::equal(old.begin(), old.end(), found.begin()));
    const auto wanted = Sine(to_hz, static_cast<int64_t>(found.size()), 300);
    double worst = 0;
    for (size_t k = old.size() + static_cast<size_t>(to_hz) / 50; k < found.size() * 9 / 10; ++k) {
      int16_t level = 0;
      std::memcpy(&level, wanted.data() + 2 * k, 2);
      worst = std::max(worst, std::fabs(double(found[k]) - level));
    }
    // From 44101 Hz no sample of one rate falls on one of the other: half a sample at most.
    EXPECT_LE(worst, from_hz == 44101 ? 16000 * 2 * std::numbers::pi * 300 / 8000 / 2 : 60);
  }
}

TEST(FrameSound, KeepsSamplesAndTimeOverAnHour) {
  const AudioFormat format{.rate_hz = 11025, .channels = 1, .type = SampleType::kS16};
  constexpr int kTo = 8000;
  const Rational fps{30000, 1001};
  const auto frames = FramesFor(3600 * 11025, 11025, fps);
  // A short click every ten seconds, in the middle of silence.
  const auto level_at = [](int64_t sample) {
    const int64_t from_click = sample % (10 * 11025) - 5 * 11025;
    return static_cast<int16_t>(from_click == 0 ? 20000 : 0);
  };
  auto sound = FrameSound::Create(format, kTo, fps);
  LC_ASSERT_OK(sound);
  const int64_t ahead = FrameSound::AheadSamples(format, kTo);
  std::vector<std::byte> pcm;
  std::string out;
  int64_t made = 0, clicks = 0;
  for (int64_t i = 0; i < frames; ++i) {
    const int64_t begin = FirstSample(i, 11025, fps), end = FirstSample(i + 1, 11025, fps);
    pcm.resize(static_cast<size_t>(end + ahead - begin) * 2);
    for (int64_t k = begin; k < end + ahead; ++k) {
      const int16_t level = level_at(k);
      std::memcpy(pcm.data() + 2 * (k - begin), &level, 2);
    }
    out.clear();
    const auto own = static_cast<size_t>(end - begin) * 2;
    LC_ASSERT_OK(sound->Convert(std::span(pcm).first(own), std::span(pcm).subspan(own), &out));
    for (const int16_t level : SamplesOf(out)) {
      if (level > 8000) {
        EXPECT_NEAR(static_cast<double>(made) / kTo, 10.0 * static_cast<double>(clicks) + 5,
                    0.6 / kTo);
        ++clicks;
      }
      ++made;
    }
    ASSERT_EQ(made, FirstSample(i + 1, kTo, fps));
  }
  EXPECT_EQ(clicks, 360);
}

TEST(FrameSound, OverAnHourOfSpeechSilenceAndClearsEveryFrameHasItsSamples) {
  const AudioFormat format{.rate_hz = 16000, .channels = 1, .type = SampleType::kS16};
  constexpr int kTo = 44100;
  const Rational fps{1, 1};
  auto sound = FrameSound::Create(format, kTo, fps);
  LC_ASSERT_OK(sound);
  const auto ahead = static_cast<size_t>(FrameSound::AheadSamples(format, kTo)) * 2;
  const std::vector<std::byte> speech = Sine(16000, 20000, 300);
  std::mt19937 random(30);
  const std::span<const std::byte> all(speech);
  std::string out;
  int64_t made = 0;
  for (int64_t i = 0; i < 3600; ++i) {  // a whole day passes too, in 79 s
    const auto piece = random() % 10;   // eight of ten frames are silent
    const size_t own = piece == 0 ? 2 * 16000 : piece == 1 ? 2 * (random() % 16000) : 0;
    const size_t next = random() % 2 == 0 ? ahead : 0;  // none: it was cleared
    out.clear();
    LC_ASSERT_OK(sound->Convert(all.first(own), all.subspan(own).first(own > 0 ? next : 0), &out));
    made += static_cast<int64_t>(out.size()) / 2;
    ASSERT_EQ(made, FirstSample(i + 1, kTo, fps)) << "frame " << i;
  }
}

TEST(FrameSound, RefusesARateItCannotGive) {
  for (const int rate_hz : {-1, 7999, 192001}) {
    EXPECT_EQ(
        FrameSound::Create({}, rate_hz, {25, 1}).status().ToString(),
        "INVALID_ARGUMENT: sound_rate_hz = " + std::to_string(rate_hz) + ": want 8000..192000");
  }
}

}  // namespace
}  // namespace lipcast::media
