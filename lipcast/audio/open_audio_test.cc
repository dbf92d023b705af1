#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sndfile.h>
#include <sys/stat.h>

#include <array>

#include "lipcast/audio/audio_reader.h"
#include "lipcast/audio/sndfile_reader.h"
#include "lipcast/audio/test_signals.h"

namespace lipcast::audio {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Writes frames with libsndfile, so that each of its formats can be a test's input.
template <typename Sample>
void WriteSndfile(const std::filesystem::path& path, int format, int rate_hz, int channels,
                  const std::vector<Sample>& samples) {
  SF_INFO info{};
  info.format = format;
  info.samplerate = rate_hz;
  info.channels = channels;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  ASSERT_NE(file, nullptr) << sf_strerror(nullptr);
  const auto count = static_cast<sf_count_t>(samples.size());
  sf_count_t written = 0;
  if constexpr (std::is_same_v<Sample, int>) {
    written = sf_write_int(file, samples.data(), count);
  } else {
    written = sf_write_float(file, samples.data(), count);
  }
  ASSERT_EQ(written, count);
  sf_close(file);
}

std::vector<std::byte> ReadAll(AudioReader* reader, size_t piece = 997) {
  std::vector<std::byte> all, block(piece);
  for (;;) {
    const auto count = reader->Read(block);
    EXPECT_TRUE(count.ok()) << count.status().message();
    if (!count.ok() || *count == 0) return all;
    EXPECT_EQ(*count % reader->format().frame_bytes(), 0u);
    all.insert(all.end(), block.begin(), block.begin() + static_cast<ptrdiff_t>(*count));
  }
}

std::vector<float> ToMono(AudioReader* reader) {
  auto converter = MonoConverter::Create(reader->format());
  std::vector<float> mono;
  converter->Push(ReadAll(reader), &mono);
  return mono;
}

std::vector<int> NoiseInts(size_t samples, int dropped_bits) {
  std::vector<int> ints;
  for (const float sample : Noise(samples, 1.0f)) {
    ints.push_back(static_cast<int>(static_cast<double>(sample) * 2147483000.0) >>
                   dropped_bits << dropped_bits);
  }
  return ints;
}

TEST(OpenAudio, IntegerSamplesComeBitForBitInTheirOwnWidth) {
  const struct {
    int format, dropped_bits;
    SampleType type;
    const char* description;
  } kinds[] = {{SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16, SampleType::kS16, "FLAC"},
               {SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 8, SampleType::kS24, "FLAC"},
               {SF_FORMAT_AIFF | SF_FORMAT_PCM_32, 0, SampleType::kS32, "AIFF"},
               {SF_FORMAT_AIFF | SF_FORMAT_PCM_24, 8, SampleType::kS24, "AIFF"}};
  for (const auto& kind : kinds) {
    const TemporaryFile file("misnamed.mp3", "");
    const std::vector<int> ints = NoiseInts(8'000, kind.dropped_bits);
    WriteSndfile(file.path(), kind.format, 44'100, 2, ints);
    auto reader = OpenAudio(file.path(), nullptr);
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    EXPECT_EQ((*reader)->format(), (AudioFormat{44'100, 2, kind.type}));
    EXPECT_EQ((*reader)->total_samples(), 4'000);
    EXPECT_THAT((*reader)->description(), HasSubstr(kind.description));
    const std::vector<std::byte> bytes = ReadAll(reader->get());
    const int width = SampleBytes(kind.type);
    ASSERT_EQ(bytes.size(), ints.size() * width);
    for (size_t i = 0; i < ints.size(); ++i) {
      for (int b = 0; b < width; ++b) {
        ASSERT_EQ(std::to_integer<int>(bytes[i * width + b]),
                  static_cast<uint32_t>(ints[i]) >> (8 * (4 - width + b)) & 0xFF)
            << "sample " << i << " byte " << b;
      }
    }
    EXPECT_THAT((*reader)->warnings(), IsEmpty());
  }
}

TEST(OpenAudio, LossyFormatsComeAsFloatAndStayTheSameSound) {
  std::vector<float> tone(44'100);
  for (size_t n = 0; n < tone.size(); ++n) {
    tone[n] = 0.5f * std::sin(2.0f * 3.14159265f * 441.0f * static_cast<float>(n) / 44'100.0f);
  }
  for (const int format : {SF_FORMAT_OGG | SF_FORMAT_VORBIS, SF_FORMAT_AU | SF_FORMAT_FLOAT,
                           SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III}) {
    const TemporaryFile file("mp3 named.wav", "");
    WriteSndfile(file.path(), format, 44'100, 1, tone);
    auto reader = OpenAudio(file.path(), nullptr);
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    EXPECT_EQ((*reader)->format().type, SampleType::kF32);
    const std::vector<float> mono = ToMono(reader->get());
    EXPECT_NEAR(static_cast<double>(mono.size()), 44'100, 2 * 1'152) << std::hex << format;
    double energy = 0;
    for (size_t n = 10'000; n < 30'000; ++n) energy += static_cast<double>(mono[n]) * mono[n];
    EXPECT_NEAR(energy / 20'000, 0.125, 0.01) << std::hex << format;
  }
}

TEST(OpenAudio, AWavGoesToTheHardenedReaderWhateverItsName) {
  auto reader = OpenAudio(TestDataPath("speech.wav"), nullptr);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->description(), "WAV");
  const TemporaryFile file("speech.flac", "");
  std::filesystem::copy_file(TestDataPath("speech.wav"), file.path(),
                             std::filesystem::copy_options::overwrite_existing);
  auto renamed = OpenAudio(file.path(), nullptr);
  ASSERT_TRUE(renamed.ok());
  EXPECT_EQ((*renamed)->description(), "WAV");
  EXPECT_EQ(ReadAll(renamed->get()), ReadAll(reader->get()));
}

TEST(OpenAudio, ACodecInsideWavGoesToLibsndfile) {
  const TemporaryFile file("adpcm.wav", "");
  const std::vector<float> noise = Noise(8'192, 0.5f);
  WriteSndfile(file.path(), SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 16'000, 1, noise);
  auto reader = OpenAudio(file.path(), nullptr);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  EXPECT_EQ((*reader)->format(), (AudioFormat{16'000, 1, SampleType::kS16}));
  EXPECT_GE(ReadAll(reader->get()).size(), 2u * 8'192u);
}

TEST(OpenAudio, WhatCannotBeAudioIsRefusedAtOnceWithPathAndReason) {
  const TemporaryFile empty("empty.wav", "");
  const auto error = [](const std::filesystem::path& path) {
    bool asked = false;
    const auto reader = OpenAudio(path, [&](const auto&) -> Result<std::unique_ptr<AudioReader>> {
      asked = true;
      return Status(Code::kInvalidArgument, "should not be asked");
    });
    EXPECT_FALSE(reader.ok());
    EXPECT_FALSE(asked);
    return reader.status();
  };
  EXPECT_EQ(error(empty.path()), Status(Code::kInvalidArgument, "audio '" + empty.path().string() +
                                                                    "': an empty file (0 bytes)"));
  EXPECT_EQ(error(empty.folder()),
            Status(Code::kInvalidArgument,
                   "audio '" + empty.folder().string() + "': a directory, want a file"));
  const auto missing = empty.folder() / "no such.wav";
  EXPECT_EQ(error(missing),
            Status(Code::kNotFound, "audio '" + missing.string() + "': No such file or directory"));
  EXPECT_EQ(error(empty.path() / "below.wav").code(), Code::kNotFound);
  const auto pipe = empty.folder() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error(pipe).message(), HasSubstr("not a regular file"));
}

TEST(OpenAudio, ABrokenWavIsReportedByItsByteAndNotRetried) {
  const TemporaryFile file("broken.wav", std::string("RIFF\0\0\0\0WAVEfmt \x04\0\0\0abcd", 24));
  int asked = 0;
  const auto reader =
      OpenAudio(file.path(), [&](const auto&) -> Result<std::unique_ptr<AudioReader>> {
        ++asked;
        return Status(Code::kInvalidArgument, "other");
      });
  EXPECT_EQ(reader.status().message(),
            "audio '" + file.path().string() +
                "': WAV byte 16: a fmt chunk of 4 bytes, want at least 16");
  EXPECT_EQ(asked, 0);
}

TEST(OpenAudio, UnknownContentIsOfferedToTheFallbackWhoseErrorThenCounts) {
  const TemporaryFile file("speech.m4a", std::string("\0\0\0\x18"
                                                     "ftypM4A \0\0\0\0M4A mp42",
                                                     24));
  const auto alone = OpenAudio(file.path(), nullptr);
  EXPECT_EQ(alone.status().code(), Code::kUnimplemented);
  EXPECT_THAT(alone.status().message(), HasSubstr(file.path().string()));
  const auto failed =
      OpenAudio(file.path(), [](const auto&) -> Result<std::unique_ptr<AudioReader>> {
        return Status(Code::kInvalidArgument, "moov atom not found");
      });
  EXPECT_EQ(failed.status().message(), "audio '" + file.path().string() + "': moov atom not found");
  const auto found = OpenAudio(
      file.path(), [](const auto&) { return OpenAudio(TestDataPath("speech.wav"), nullptr); });
  EXPECT_TRUE(found.ok());
}

TEST(OpenAudio, ACutFlacDeliversWhatIsThereOrSaysWhatIsWrong) {
  const TemporaryFile file("cut.flac", "");
  WriteSndfile(file.path(), SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16'000, 1, NoiseInts(64'000, 16));
  std::filesystem::resize_file(file.path(), std::filesystem::file_size(file.path()) / 2);
  auto reader = OpenAudio(file.path(), nullptr);
  ASSERT_TRUE(reader.ok());
  std::vector<std::byte> block(4'096);
  size_t bytes = 0;
  Status error;
  for (;;) {
    const auto count = (*reader)->Read(block);
    if (!count.ok()) error = count.status();
    if (!count.ok() || *count == 0) break;
    bytes += *count;
  }
  EXPECT_GT(bytes, 0u);
  EXPECT_LT(bytes, 128'000u);
  if (error.ok()) {
    EXPECT_THAT((*reader)->warnings(), ElementsAre(HasSubstr("its header says 64000")));
  } else {
    EXPECT_THAT(error.message(), HasSubstr(file.path().string()));
  }
}

TEST(OpenAudio, LimitsHoldForEveryFormat) {
  const TemporaryFile file("low.flac", "");
  WriteSndfile(file.path(), SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 4'000, 1, NoiseInts(4'000, 16));
  EXPECT_EQ(OpenAudio(file.path(), nullptr).status().message(),
            "audio '" + file.path().string() + "': audio rate 4000 Hz: want 8000..192000");
}

}  // namespace
}  // namespace lipcast::audio
