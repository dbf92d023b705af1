#include "lipcast/media/libav_audio_reader.h"

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using audio::AudioFormat;
using audio::SampleType;
using test::Quoted;
using test::ReadFile;
using test::Tone;

class LibavAudio : public ::testing::Test {
 protected:
  void SetUp() override { InitLibav(); }

  std::filesystem::path Encode(const AudioFormat& format, const std::vector<std::byte>& pcm,
                               const std::string& name, const std::string& settings) {
    std::vector<uint8_t> bytes(pcm.size());
    std::memcpy(bytes.data(), pcm.data(), pcm.size());
    test::WriteFile(folder_ / "pcm", bytes);
    const bool wide = format.type == SampleType::kS24 || format.type == SampleType::kS32 ||
                      format.type == SampleType::kF32 || format.type == SampleType::kS16;
    test::Run("ffmpeg -v error -y -f " + SampleTypeName(format.type) + (wide ? "le" : "") +
              " -ar " + std::to_string(format.rate_hz) + " -ac " + std::to_string(format.channels) +
              " -i " + Quoted(folder_ / "pcm") + " " + settings + " " + Quoted(folder_ / name));
    return folder_ / name;
  }

  static std::vector<std::byte> ReadAll(audio::AudioReader* reader, size_t piece) {
    std::vector<std::byte> all, buffer(piece);
    for (;;) {
      const auto got = reader->Read(buffer);
      EXPECT_TRUE(got.ok()) << got.status().message();
      if (!got.ok() || *got == 0) return all;
      EXPECT_EQ(*got % static_cast<size_t>(reader->format().frame_bytes()), 0u);
      all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(*got));
    }
  }

  TempFolder folder_;
};

TEST_F(LibavAudio, LosslessFilesComeBackToTheBitInAnyPieces) {
  for (const char* name : {"a.wav", "a.mkv", "a.mov"}) {
    for (const SampleType type : {SampleType::kS16, SampleType::kS32, SampleType::kF32}) {
      const AudioFormat format{22050, 2, type};
      const auto pcm = Tone(format, 30011);
      const auto path = Encode(format, pcm, name, "-c:a pcm_" + SampleTypeName(type) + "le");
      for (const size_t piece : {size_t{17}, size_t{4093}, size_t{1} << 20}) {
        auto reader = OpenLibavAudio(path);
        LC_ASSERT_OK(reader);
        EXPECT_EQ((*reader)->format(), format) << name;
        EXPECT_TRUE(ReadAll(reader->get(), piece) == pcm) << name << " " << SampleTypeName(type);
        EXPECT_TRUE((*reader)->warnings().empty());
      }
    }
  }
}

TEST_F(LibavAudio, AacBeginsAtTimeZeroAndKeepsItsLength) {
  const AudioFormat format{44100, 2, SampleType::kS16};
  const auto path = Encode(format, Tone(format, 50000), "a.m4a", "-c:a aac");
  auto reader = OpenLibavAudio(path);
  LC_ASSERT_OK(reader);
  EXPECT_EQ((*reader)->format(), (AudioFormat{44100, 2, SampleType::kF32}));
  EXPECT_NE((*reader)->description().find("aac"), std::string::npos);
  const auto back = ReadAll(reader->get(), 4096);
  const auto wanted = Tone({44100, 2, SampleType::kF32}, 50000);
  ASSERT_NEAR(static_cast<double>(back.size() / 8), 50000, 1024);
  // Aligned to the sample: the tone of the source is what comes out.
  double error = 0, power = 0;
  for (size_t i = 4000; i < 40000; ++i) {
    float a = 0, b = 0;
    std::memcpy(&a, back.data() + i * 4, 4);
    std::memcpy(&b, wanted.data() + i * 4, 4);
    error += (a - b) * (a - b);
    power += b * b;
  }
  EXPECT_LT(error / power, 1e-3);
}

TEST_F(LibavAudio, SoundThatBeginsLateIsPrecededBySilence) {
  test::Run(
      "ffmpeg -v error -f lavfi -i testsrc=d=2:s=64x64 -itsoffset 0.5 -f lavfi -i sine=d=1 "
      "-c:a pcm_s16le -c:v libx264 " +
      Quoted(folder_ / "late.mkv"));
  auto reader = OpenLibavAudio(folder_ / "late.mkv");
  LC_ASSERT_OK(reader);
  const auto back = ReadAll(reader->get(), 1000);
  EXPECT_EQ(back.size(), 2u * (22050 + 44100));
  ASSERT_EQ((*reader)->warnings().size(), 1u);
  EXPECT_NE((*reader)->warnings()[0].find("500 ms of silence put in at 0 ms"), std::string::npos);
  const auto loud = [&](size_t from, size_t to) {
    int peak = 0;
    for (size_t i = from; i < to; ++i) {
      int16_t sample = 0;
      std::memcpy(&sample, back.data() + 2 * i, 2);
      peak = std::max(peak, std::abs(sample));
    }
    return peak;
  };
  EXPECT_EQ(loud(0, 22050), 0);
  EXPECT_GT(loud(22050, 22500), 1000);
}

TEST_F(LibavAudio, EveryTypeOfSampleIsTold) {
  const AudioFormat format{8000, 1, SampleType::kS16};
  const auto pcm = Tone(format, 800);
  for (const auto& [codec, type] : {std::pair{"pcm_u8", SampleType::kU8},
                                    {"pcm_s24le", SampleType::kS32},
                                    {"pcm_f64le", SampleType::kF64}}) {
    auto reader = OpenLibavAudio(Encode(format, pcm, "a.mkv", std::string("-c:a ") + codec));
    LC_ASSERT_OK(reader);
    EXPECT_EQ((*reader)->format(), (AudioFormat{8000, 1, type})) << codec;
    const size_t bytes = static_cast<size_t>((*reader)->format().frame_bytes()) * 800;
    EXPECT_EQ(ReadAll(reader->get(), 4096).size(), bytes) << codec;
  }
}

TEST_F(LibavAudio, AHoleOfHoursIsRefusedInsteadOfFilled) {
  test::Run(
      "ffmpeg -v error -f lavfi -i testsrc=d=1:s=64x64 -itsoffset 7200 -f lavfi -i sine=d=1 "
      "-c:a pcm_s16le -c:v libx264 " +
      Quoted(folder_ / "late.mkv"));
  const Status status = OpenLibavAudio(folder_ / "late.mkv").status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("a hole of 7200 s in the sound: want at most 600"),
            std::string::npos)
      << status.message();
}

TEST_F(LibavAudio, SoundThatChangesItsRateOnTheWayIsRefusedWithBothRates) {
  std::vector<uint8_t> both;
  for (const int rate_hz : {44100, 22050}) {
    const AudioFormat format{rate_hz, 1, SampleType::kS16};
    const auto part = ReadFile(Encode(format, Tone(format, rate_hz), "part.aac", "-c:a aac"));
    both.insert(both.end(), part.begin(), part.end());
  }
  test::WriteFile(folder_ / "both.aac", both);
  auto reader = OpenLibavAudio(folder_ / "both.aac");
  LC_ASSERT_OK(reader);
  std::vector<std::byte> buffer(1 << 16);
  Result<size_t> got = size_t{1};
  while (got.ok() && *got > 0) got = (*reader)->Read(buffer);
  EXPECT_EQ(got.status().code(), Code::kUnimplemented);
  EXPECT_NE(got.status().message().find("changes from 44100 Hz, 1 channels to 22050 Hz"),
            std::string::npos)
      << got.status().message();
}

TEST_F(LibavAudio, AFileWithoutSoundSaysWhatItHas) {
  test::Run("ffmpeg -v error -f lavfi -i testsrc=d=1:s=64x64 -c:v libx264 " +
            Quoted(folder_ / "x.mp4"));
  const Status status = OpenLibavAudio(folder_ / "x.mp4").status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "no audio stream in '" + (folder_ / "x.mp4").string() + "' (found: video h264)");
}

TEST_F(LibavAudio, ACutFileIsReadAsFarAsItGoesWithAWarning) {
  const AudioFormat format{44100, 1, SampleType::kS16};
  const auto path = Encode(format, Tone(format, 132300), "a.m4a", "-c:a aac -movflags +faststart");
  std::vector<uint8_t> bytes = ReadFile(path);
  bytes.resize(bytes.size() / 2);
  test::WriteFile(path, bytes);
  auto reader = OpenLibavAudio(path);
  LC_ASSERT_OK(reader);
  const size_t samples = ReadAll(reader->get(), 4096).size() / 4;
  EXPECT_GT(samples, 20000u);
  EXPECT_LT(samples, 120000u);
  ASSERT_FALSE((*reader)->warnings().empty());
  EXPECT_NE((*reader)->warnings()[0].find("ends early"), std::string::npos);
}

TEST_F(LibavAudio, WhatIsNoMediaIsNamedWithItsReason) {
  test::WriteFile(folder_ / "empty.m4a", {});
  EXPECT_NE(OpenLibavAudio(folder_ / "empty.m4a").status().message().find("0 bytes"),
            std::string::npos);
  EXPECT_EQ(OpenLibavAudio(folder_ / "none.m4a").status().code(), Code::kNotFound);
  const std::string text = "# lipcast\nSpeech in, a talking person out.\n";
  test::WriteFile(folder_ / "README.md", {text.begin(), text.end()});
  const Status prose = OpenLibavAudio(folder_ / "README.md").status();
  EXPECT_EQ(prose.code(), Code::kInvalidArgument);
  EXPECT_NE(prose.message().find("README.md': no known media format: want sound or video"),
            std::string::npos)
      << prose.message();
  const AudioFormat format{44100, 1, SampleType::kS16};
  std::vector<uint8_t> bytes = ReadFile(Encode(format, Tone(format, 44100), "a.m4a", "-c:a aac"));
  bytes.resize(bytes.size() / 2);  // the index at the end is gone
  test::WriteFile(folder_ / "cut.m4a", bytes);
  const Status cut = OpenLibavAudio(folder_ / "cut.m4a").status();
  EXPECT_FALSE(cut.ok());
  EXPECT_NE(cut.message().find("moov atom not found"), std::string::npos) << cut.message();
  const auto mp3 = Encode(format, Tone(format, 44100), "real.mp3", "-c:a libmp3lame");
  std::filesystem::rename(mp3, folder_ / "named.wav");
  LC_ASSERT_OK(OpenLibavAudio(folder_ / "named.wav"));
}

}  // namespace
}  // namespace lipcast::media
