#include "lipcast/media/fragmented_mp4.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <sstream>

#include "lipcast/media/h264_encoder.h"
#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using audio::AudioFormat;
using audio::SampleType;
using Bytes = std::vector<uint8_t>;

constexpr int kWidth = 320, kHeight = 192;

std::unique_ptr<H264Encoder> OpenEncoder(const Rational& fps) {
  H264Options options;
  options.width = kWidth;
  options.height = kHeight;
  options.fps = fps;
  options.form = H264Form::kAvcc;
  auto encoder = H264Encoder::Create(options);
  EXPECT_TRUE(encoder.ok()) << encoder.status().ToString();
  return *std::move(encoder);
}

struct Film {
  Rational fps{25, 1};
  AudioFormat audio{.rate_hz = 48000, .channels = 2, .type = SampleType::kS16};
  bool sound = true;
  int frames_a_fragment = 5;
};

struct Made {
  std::string mime_type;
  std::vector<std::string> notes;
  std::vector<Bytes> parts;  // the init segment first
  Bytes All(size_t skip = 0) const {
    Bytes all = parts.at(0);
    for (size_t i = 1 + skip; i < parts.size(); ++i) {
      all.insert(all.end(), parts[i].begin(), parts[i].end());
    }
    return all;
  }
};

/// `frames` frames, those that `shown` wants with a picture, each with its slice of a tone.
template <typename Shown>
Made Make(const Film& film, int frames, const Shown& shown) {
  const auto encoder = OpenEncoder(film.fps);
  H264StreamOptions options{kWidth, kHeight, film.fps, encoder->codec_config(), {}};
  if (film.sound) options.audio = film.audio;
  auto mp4 = FragmentedMp4::Create(options);
  EXPECT_TRUE(mp4.ok()) << mp4.status().ToString();
  Made made{(*mp4)->mime_type(), {}, {}};
  const auto init = (*mp4)->init_segment();
  made.parts.emplace_back(init.begin(), init.end());
  const auto sample = [&](int frame) { return FirstSample(frame, film.audio.rate_hz, film.fps); };
  const auto tone = test::Tone(film.audio, sample(frames));
  const auto keep = [&](Result<Bytes> fragment) {
    EXPECT_TRUE(fragment.ok()) << fragment.status().ToString();
    if (!fragment->empty()) made.parts.push_back(*std::move(fragment));
  };
  for (int i = 0; i < frames; ++i) {
    if (shown(i)) {
      const auto unit = encoder->Encode(test::Numbered(kWidth, kHeight, i).view(), false);
      EXPECT_TRUE((*mp4)->AddPicture(i, unit->bytes, unit->key_frame).ok());
    }
    if (film.sound) {
      const auto size = static_cast<size_t>(film.audio.frame_bytes());
      const auto from = static_cast<size_t>(sample(i)), to = static_cast<size_t>(sample(i + 1));
      EXPECT_TRUE((*mp4)->AddSound(std::span(tone).subspan(from * size, (to - from) * size)).ok());
    }
    if (i > 0 && i % film.frames_a_fragment == 0) keep((*mp4)->TakeFragment());
  }
  keep((*mp4)->Finish());
  made.notes = (*mp4)->notes();
  return made;
}

bool Always(int) { return true; }

std::vector<int64_t> PacketTimes(const std::filesystem::path& path, const std::string& stream) {
  std::istringstream lines(test::Probe(path, stream, "packet=pts"));
  std::vector<int64_t> times;
  for (std::string line; std::getline(lines, line);) times.push_back(std::stoll(line));
  return times;
}

/// Ticks a second of a stream.
int64_t Timescale(const std::filesystem::path& path, const std::string& stream) {
  const std::string base = test::Probe(path, stream, "stream=time_base");
  EXPECT_EQ(base.substr(0, 2), "1/");
  return std::stoll(base.substr(2));
}

std::vector<std::string> BoxesOf(const Bytes& bytes) {
  std::vector<std::string> names;
  size_t at = 0;
  while (at + 8 <= bytes.size()) {
    const size_t size = size_t{bytes[at]} << 24 | size_t{bytes[at + 1]} << 16 |
                        size_t{bytes[at + 2]} << 8 | bytes[at + 3];
    names.emplace_back(bytes.begin() + static_cast<ptrdiff_t>(at + 4),
                       bytes.begin() + static_cast<ptrdiff_t>(at + 8));
    if (size < 8) break;
    at += size;
  }
  EXPECT_EQ(at, bytes.size());
  return names;
}

struct TickSpan {
  uint64_t from = 0, to = 0;
};

/// From where to where the pictures (track 1) of a fragment stand, in ticks: ISO 14496-12, 8.8.
std::optional<TickSpan> PicturesOf(const Bytes& fragment) {
  const auto number = [&](size_t at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | fragment.at(at + i);
    return value;
  };
  std::optional<TickSpan> span;
  uint64_t track = 0, usual = 0;
  const std::function<void(size_t, size_t)> read = [&](size_t at, size_t end) {
    for (size_t size = 0; at + 8 <= end; at += size) {
      size = number(at, 4);
      const std::string name(fragment.begin() + static_cast<ptrdiff_t>(at + 4),
                             fragment.begin() + static_cast<ptrdiff_t>(at + 8));
      const uint64_t flags = number(at + 8, 4);
      if (name == "moof" || name == "traf") read(at + 8, at + size);
      if (name == "tfhd") {
        track = number(at + 12, 4);
        usual = flags & 8 ? number(at + 16, 4) : 0;
      }
      if (name == "tfdt" && track == 1) span = TickSpan{number(at + 12, 8), number(at + 12, 8)};
      if (name != "trun" || track != 1) continue;
      size_t entry = at + 16 + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0);
      for (uint64_t i = 0; i < number(at + 12, 4); ++i) {
        span->to += flags & 0x100 ? number(entry, 4) : usual;
        for (const uint64_t field : {0x100, 0x200, 0x400, 0x800}) entry += flags & field ? 4 : 0;
      }
    }
  };
  read(0, fragment.size());
  return span;
}

TEST(FragmentedMp4, IsAnInitSegmentAndFragmentsOfWholeBoxes) {
  const Made made = Make({}, 22, Always);
  EXPECT_EQ(BoxesOf(made.parts[0]), (std::vector<std::string>{"ftyp", "moov"}));
  ASSERT_EQ(made.parts.size(), 1U + 5U);
  for (size_t i = 1; i < made.parts.size(); ++i) {
    EXPECT_EQ(BoxesOf(made.parts[i]), (std::vector<std::string>{"moof", "mdat"})) << i;
  }
  EXPECT_TRUE(made.mime_type.starts_with("video/mp4; codecs=\"avc1.64")) << made.mime_type;
  EXPECT_TRUE(made.mime_type.ends_with(", mp4a.40.2\"")) << made.mime_type;
  EXPECT_TRUE(made.notes.empty());
}

TEST(FragmentedMp4, ShowsEachPictureAtItsTimeAtAnyRate) {
  const TempFolder folder;
  for (const Rational& fps : {Rational{25, 1}, Rational{30000, 1001}, Rational{1, 1}}) {
    Film film;
    film.fps = fps;
    const int frames = fps.num == 1 ? 7 : 90;
    test::WriteFile(folder / "x.mp4", Make(film, frames, Always).All());
    const int64_t scale = Timescale(folder / "x.mp4", "v:0");
    const auto times = PacketTimes(folder / "x.mp4", "v:0");
    ASSERT_EQ(times.size(), static_cast<size_t>(frames));
    for (int64_t i = 0; i < frames; ++i) {
      EXPECT_EQ(times[static_cast<size_t>(i)] * fps.num, i * scale * fps.den) << fps.ToString();
    }
    EXPECT_EQ(test::Run("ffprobe -v error -count_frames -select_streams v:0 -show_entries "
                        "stream=nb_read_frames -of csv=p=0 " +
                        test::Quoted(folder / "x.mp4")),
              std::to_string(frames) + "\n");
  }
}

TEST(FragmentedMp4, ItsSoundIsTheSourcesFromTheSameZero) {
  const TempFolder folder;
  for (const int rate_hz : {16000, 44100, 48000}) {
    Film film;
    film.audio = {.rate_hz = rate_hz, .channels = 1, .type = SampleType::kS16};
    test::WriteFile(folder / "x.mp4", Make(film, 50, Always).All());
    const auto times = PacketTimes(folder / "x.mp4", "a:0");
    for (size_t i = 0; i < times.size(); ++i) EXPECT_EQ(times[i], static_cast<int64_t>(i) * 1024);
    test::Run("ffmpeg -v error -y -i " + test::Quoted(folder / "x.mp4") + " -f s16le " +
              test::Quoted(folder / "x.pcm"));
    const Bytes bytes = test::ReadFile(folder / "x.pcm");
    const auto tone = test::Tone(film.audio, 2 * rate_hz);
    ASSERT_GE(bytes.size(), tone.size());
    // Away from the ends, where a tone that begins and stops at once is hard to code.
    const auto apart = [&](int64_t lag) {
      double error = 0, power = 0;
      for (int64_t i = 4096; i < 2 * rate_hz - 8192; ++i) {
        int16_t found = 0, wanted = 0;
        std::memcpy(&found, bytes.data() + 2 * (i + lag), 2);
        std::memcpy(&wanted, tone.data() + 2 * i, 2);
        error += (found - wanted) * double(found - wanted);
        power += double(wanted) * wanted;
      }
      return std::sqrt(error / power);
    };
    EXPECT_LT(apart(0), 0.03) << rate_hz;
    EXPECT_LT(apart(0), std::min(apart(-1), apart(1))) << rate_hz;
  }
}

TEST(FragmentedMp4, APictureStandsUntilTheNextOneInsideAFragmentAndBetweenThem) {
  const TempFolder folder;
  const auto shown = [](int i) { return i < 3 || i == 4 || (i > 12 && i != 20); };
  for (const bool sound : {false, true}) {
    Film film;
    film.sound = sound;
    test::WriteFile(folder / "x.mp4", Make(film, 30, shown).All());
    const int64_t scale = Timescale(folder / "x.mp4", "v:0");
    std::vector<int64_t> wanted;
    for (int i = 0; i < 30; ++i) {
      if (shown(i)) wanted.push_back(i * scale / 25);
    }
    EXPECT_EQ(PacketTimes(folder / "x.mp4", "v:0"), wanted);
    const Made made = Make(film, 30, shown);
    uint64_t end = 0;
    for (size_t i = 1; i < made.parts.size(); ++i) {
      if (const auto span = PicturesOf(made.parts[i])) {
        EXPECT_EQ(span->from, end) << "a hole before fragment " << i;
        end = span->to;
      }
    }
    EXPECT_EQ(end, static_cast<uint64_t>(30 * scale / 25));
    EXPECT_EQ(test::Probe(folder / "x.mp4", "a:0", "stream=codec_name"), sound ? "aac" : "");
  }
}

TEST(FragmentedMp4, AReaderWhoJoinsAtAKeyFrameSeesTheStreamsTimes) {
  const TempFolder folder;
  const Made made = Make({}, 100, Always);
  test::WriteFile(folder / "x.mp4", made.All(10));  // 10 fragments of 5: the key frame at 50
  const int64_t scale = Timescale(folder / "x.mp4", "v:0");
  const auto times = PacketTimes(folder / "x.mp4", "v:0");
  ASSERT_EQ(times.size(), 50U);
  EXPECT_EQ(times[0], 50 * scale / 25);
  const auto sounds = PacketTimes(folder / "x.mp4", "a:0");
  EXPECT_EQ(sounds[0] % 1024, 0);
  EXPECT_LE(sounds[0], 2 * 48000 + 48000 / 25);
  EXPECT_GE(sounds[0], 2 * 48000 - 3 * 1024);
}

TEST(FragmentedMp4, SoundAndPicturesEndTogetherAfterMinutes) {
  const TempFolder folder;
  Film film;
  film.fps = {30000, 1001};
  film.audio = {.rate_hz = 22050, .channels = 1, .type = SampleType::kS16};
  film.frames_a_fragment = 3;
  const int frames = 30 * 120;
  const auto every_tenth = [](int i) { return i % 10 == 0; };
  test::WriteFile(folder / "x.mp4", Make(film, frames, every_tenth).All());
  const auto pictures = PacketTimes(folder / "x.mp4", "v:0");
  const auto sounds = PacketTimes(folder / "x.mp4", "a:0");
  EXPECT_EQ(pictures.back() * 30000, (frames - 10) * 1001 * Timescale(folder / "x.mp4", "v:0"));
  const int64_t samples = FirstSample(frames, 22050, film.fps);
  EXPECT_LE(sounds.back(), samples);
  EXPECT_GE(sounds.back() + 1024, samples);
}

TEST(FragmentedMp4, TakesAnyFormatOfSoundAndSaysWhatItResampled) {
  const TempFolder folder;
  for (const AudioFormat& format :
       {AudioFormat{.rate_hz = 8000, .channels = 1, .type = SampleType::kMulaw},
        AudioFormat{.rate_hz = 192000, .channels = 6, .type = SampleType::kS24},
        AudioFormat{.rate_hz = 96000, .channels = 8, .type = SampleType::kF32}}) {
    Film film;
    film.audio = format;
    const Made made = Make(film, 25, Always);
    EXPECT_EQ(made.notes.size(), format.rate_hz == 192000 ? 1U : 0U);
    test::WriteFile(folder / "x.mp4", made.All());
    EXPECT_EQ(test::Probe(folder / "x.mp4", "a:0", "stream=codec_name,profile,channels"),
              "aac,LC," + std::to_string(format.channels));
    const double rate = format.rate_hz == 192000 ? 96000 : format.rate_hz;
    const auto times = PacketTimes(folder / "x.mp4", "a:0");
    EXPECT_NEAR(static_cast<double>(times.back()) / rate, 1, 2048 / rate);
  }
}

TEST(FragmentedMp4, NothingAddedIsNoFragment) {
  const auto encoder = OpenEncoder({25, 1});
  auto mp4 = FragmentedMp4::Create({kWidth, kHeight, {25, 1}, encoder->codec_config(), {}});
  LC_ASSERT_OK(mp4);
  EXPECT_TRUE((*mp4)->TakeFragment()->empty());
  EXPECT_TRUE((*mp4)->Finish()->empty());
}

TEST(FragmentedMp4, RefusesWhatItCannotMux) {
  const auto encoder = OpenEncoder({25, 1});
  const auto config = encoder->codec_config();
  const auto refusal = [](const H264StreamOptions& options) {
    return FragmentedMp4::Create(options).status().ToString();
  };
  EXPECT_EQ(refusal({321, kHeight, {25, 1}, config, {}}),
            "INVALID_ARGUMENT: size = 321x192: want even sides");
  EXPECT_EQ(refusal({kWidth, kHeight, {0, 1}, config, {}}),
            "INVALID_ARGUMENT: fps = 0: want 1..120");
  EXPECT_EQ(refusal({kWidth, kHeight, {25, 1}, config.first(4), {}}),
            "INVALID_ARGUMENT: codec_config: 4 bytes that are no avcC record");
  EXPECT_NE(refusal({kWidth, kHeight, {25, 1}, config, AudioFormat{.rate_hz = 4}}).find("4"),
            std::string::npos);
  auto mp4 = FragmentedMp4::Create({kWidth, kHeight, {25, 1}, config, {}});
  LC_ASSERT_OK(mp4);
  const auto unit = encoder->Encode(test::Numbered(kWidth, kHeight, 1).view(), false);
  LC_ASSERT_OK(unit);
  LC_ASSERT_OK((*mp4)->AddPicture(4, unit->bytes, true));
  EXPECT_EQ((*mp4)->AddPicture(4, unit->bytes, true).ToString(),
            "INVALID_ARGUMENT: picture 4 after picture 4: want indices that grow");
  const std::byte sound[4] = {};
  EXPECT_EQ((*mp4)->AddSound(sound).code(), Code::kFailedPrecondition);
  auto finished = FragmentedMp4::Create({kWidth, kHeight, {25, 1}, config, {}});
  LC_ASSERT_OK(finished);
  LC_ASSERT_OK((*finished)->Finish());
  EXPECT_EQ((*finished)->TakeFragment().status().ToString(),
            "FAILED_PRECONDITION: the MP4 is finished already");
}

}  // namespace
}  // namespace lipcast::media
