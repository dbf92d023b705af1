#include "lipcast/media/movie_sink.h"

#include "lipcast/media/encoder_info.h"
#include "lipcast/media/media_test_support.h"
#include "lipcast/media/movie_audio.h"
#include "lipcast/media/open_sink.h"
#include "lipcast/media/video_decoder.h"

namespace lipcast::media {
namespace {

using audio::AudioFormat;
using audio::SampleType;
using test::Numbered;
using test::Options;
using test::Probe;
using test::Quoted;
using test::ReadFile;
using test::Solid;

class MovieSink : public ::testing::Test {
 protected:
  void SetUp() override { InitLibav(); }
  TempFolder folder_;
};

/// A whole movie as the pipeline writes it: each frame with its slice of sound, in odd pieces.
Result<SinkReport> WriteMovie(const SinkOptions& options, int64_t samples,
                              const std::vector<std::byte>& pcm) {
  LC_ASSIGN_OR_RETURN(std::unique_ptr<VideoSink> sink,
                      OpenSink(options.path.string(), "", options));
  const int64_t frames = FramesFor(samples, options.audio->rate_hz, options.fps);
  std::span<const std::byte> rest = pcm;
  for (int64_t i = 0; i < frames; ++i) {
    LC_RETURN_IF_ERROR(sink->WriteFrame(
        Numbered(options.width, options.height, static_cast<int>(i % 1000)).view()));
    const size_t piece =
        std::min<size_t>(rest.size(), pcm.size() / static_cast<size_t>(frames) | 1);
    LC_RETURN_IF_ERROR(sink->WriteAudio(rest.first(piece)));
    rest = rest.subspan(piece);
  }
  LC_RETURN_IF_ERROR(sink->WriteAudio(rest));
  return sink->Finish();
}

TEST_F(MovieSink, SoundAndPictureEndWithinOneFrame) {
  const std::pair<int, std::vector<int64_t>> lengths[] = {
      {16000, {96000, 107240, 1, 512, 513, 641, 1023, 1024, 1025}},
      {8000, {20001}},
      {44100, {100000}},
      {37800, {50001}}};  // which AAC lacks
  for (const char* name : {"out.mp4", "out.mkv"}) {
    for (const auto& [rate, all] : lengths) {
      for (const int64_t samples : all) {
        for (const Rational fps : {Rational{25, 1}, Rational{30000, 1001}, Rational{12, 1}}) {
          auto options = Options(folder_ / name, 160, 64, fps);
          options.overwrite = true;
          options.audio = AudioFormat{rate, 1, SampleType::kS16};
          options.audio_samples = samples;
          auto report = WriteMovie(options, samples, test::Tone(*options.audio, samples));
          LC_ASSERT_OK(report);
          EXPECT_EQ(report->frames, FramesFor(samples, rate, fps));
          EXPECT_EQ(report->bytes, static_cast<int64_t>(std::filesystem::file_size(options.path)));
          // A decoder's own count, which does not look at the times in the file.
          test::Run("ffmpeg -v error -y -i " + Quoted(options.path) + " -f s16le " +
                    Quoted(folder_ / "pcm"));
          const int played_rate = std::stoi(Probe(options.path, "a", "stream=sample_rate"));
          const double sound_s =
              static_cast<double>(std::filesystem::file_size(folder_ / "pcm")) / 2 / played_rate;
          const double video_s =
              std::stod(Probe(options.path, "v", "stream=nb_read_packets -count_packets")) /
              fps.value();
          const double frame_s = 1 / fps.value();
          EXPECT_LT(std::abs(sound_s - video_s), frame_s)
              << name << " " << samples << " at " << rate << ", " << fps.ToString();
          // Up to half a block ends on time by the times in the file only.
          const bool tiny = samples <= 512 && options.path.extension() == ".mp4";
          EXPECT_NEAR(tiny ? std::stod(Probe(options.path, "a", "stream=duration")) : sound_s,
                      static_cast<double>(samples) / rate, 0.001)
              << name << " " << samples << " at " << rate << ", " << fps.ToString();
        }
      }
    }
  }
}

TEST_F(MovieSink, SoundOfUnknownOrOtherLengthEndsOnTimeByTheTimesInTheFile) {
  constexpr int64_t kSamples = 20001;
  for (const std::optional<int64_t> announced :
       {std::optional<int64_t>(), std::optional<int64_t>(0), std::optional<int64_t>(12345),
        std::optional<int64_t>(99999)}) {
    auto options = Options(folder_ / "out.mp4", 160, 64);
    options.overwrite = true;
    options.audio = AudioFormat{16000, 1, SampleType::kS16};
    options.audio_samples = announced;
    LC_ASSERT_OK(WriteMovie(options, kSamples, test::Tone(*options.audio, kSamples)));
    EXPECT_EQ(Probe(options.path, "a", "stream=start_time"), "0.000000");
    EXPECT_NEAR(std::stod(Probe(options.path, "a", "stream=duration")), kSamples / 16000.0, 0.001)
        << announced.value_or(-1);
    EXPECT_NEAR(std::stod(Probe(options.path, "v", "stream=duration")), 32 / 25.0, 0.0001);
  }
}

TEST_F(MovieSink, AnnouncedSoundThatNeverComesLeavesNoSound) {
  auto options = Options(folder_ / "out.mp4", 160, 64);
  options.audio = AudioFormat{};
  options.audio_samples = 12345;
  auto sink = OpenSink(options.path.string(), "", options);
  LC_ASSERT_OK(sink);
  LC_ASSERT_OK((*sink)->WriteFrame(Numbered(160, 64, 0).view()));
  LC_ASSERT_OK((*sink)->Finish());
  EXPECT_EQ(test::Run("ffmpeg -v error -i " + Quoted(options.path) + " -f null -"), "");
  EXPECT_EQ(Probe(options.path, "a", "packet=size"), "");
}

TEST_F(MovieSink, FfprobesDurationsOfAnMp4AreWithinOneFrame) {
  auto options = Options(folder_ / "out.mp4", 160, 64, {30000, 1001});
  options.audio = AudioFormat{44100, 2, SampleType::kF32};
  LC_ASSERT_OK(WriteMovie(options, 441000, test::Tone(*options.audio, 441000)));
  const double video_s = std::stod(Probe(options.path, "v", "stream=duration"));
  const double sound_s = std::stod(Probe(options.path, "a", "stream=duration"));
  EXPECT_NEAR(sound_s, 10, 0.001);
  EXPECT_NEAR(video_s, 300 * 1001 / 30000.0, 0.0001);
  EXPECT_LT(std::abs(video_s - sound_s), 1001 / 30000.0);
  EXPECT_EQ(Probe(options.path, "v", "stream=r_frame_rate,avg_frame_rate,nb_frames"),
            "30000/1001,30000/1001,300");
  EXPECT_EQ(Probe(options.path, "v", "stream=start_time"), "0.000000");
  EXPECT_EQ(Probe(options.path, "a", "stream=sample_rate,channels,start_time"), "44100,2,0.000000");
}

TEST_F(MovieSink, TheLastFrameOfALongFractionalRateIsOnTime) {
  auto options = Options(folder_ / "out.mp4", 160, 64, {24000, 1001});
  auto sink = OpenSink(options.path.string(), "", options);
  LC_ASSERT_OK(sink);
  const Picture picture = Numbered(160, 64, 1);
  constexpr int kFrames = 14386;  // ten minutes
  for (int i = 0; i < kFrames; ++i) LC_ASSERT_OK((*sink)->WriteFrame(picture.view()));
  LC_ASSERT_OK((*sink)->Finish());
  EXPECT_NEAR(std::stod(Probe(options.path, "v", "stream=duration")), kFrames * 1001 / 24000.0,
              1e-5);
}

TEST_F(MovieSink, TagsBt709LimitedInStreamAndContainer) {
  for (const char* name : {"out.mp4", "out.mkv"}) {
    auto options = Options(folder_ / name, 160, 64);
    options.audio = AudioFormat{};
    LC_ASSERT_OK(WriteMovie(options, 16000, test::Tone(*options.audio, 16000)));
    EXPECT_EQ(Probe(options.path, "v",
                    "stream=codec_name,pix_fmt,color_range,color_space,color_transfer,"
                    "color_primaries,sample_aspect_ratio"),
              "h264,1:1,yuv420p,tv,bt709,bt709,bt709");
    // Without the container's tags the H.264 stream itself says the same.
    test::Run("ffmpeg -v error -y -i " + Quoted(options.path) + " -c copy -an " +
              Quoted(folder_ / "raw.h264"));
    EXPECT_EQ(Probe(folder_ / "raw.h264", "v", "stream=color_range,color_space"), "tv,bt709");
  }
  const std::vector<uint8_t> mp4 = ReadFile(folder_ / "out.mp4");
  const std::string text(mp4.begin(), mp4.end());
  EXPECT_NE(text.find("colrnclx"), std::string::npos);
  EXPECT_LT(text.find("moov"), text.find("mdat"));
}

TEST_F(MovieSink, RedStaysRedAndTheFramesAreInOrder) {
  for (const char* name : {"out.mp4", "out.mkv"}) {
    auto options = Options(folder_ / name, 192, 64);
    options.preset = "veryfast";
    auto sink = OpenSink(options.path.string(), "", options);
    LC_ASSERT_OK(sink);
    for (int i = 0; i < 40; ++i) {
      LC_ASSERT_OK((*sink)->WriteFrame(i < 20
                                           ? Solid(PixelFormat::kI420, 192, 64, {0, 0, 255}).view()
                                           : Numbered(192, 64, i).view()));
    }
    LC_ASSERT_OK((*sink)->Finish());
    // ffmpeg, told to read the tags, gives RGB.
    test::Run("ffmpeg -v error -y -i " + Quoted(options.path) +
              " -vf scale=in_color_matrix=bt709:flags=accurate_rnd+full_chroma_int -frames:v 1 "
              "-f rawvideo -pix_fmt bgr24 " +
              Quoted(folder_ / "raw"));
    const std::vector<uint8_t> bgr = ReadFile(folder_ / "raw");
    ASSERT_EQ(bgr.size(), 192u * 64 * 3);
    EXPECT_LE(bgr[3000], 5);
    EXPECT_LE(bgr[3001], 5);
    EXPECT_GE(bgr[3002], 250);
    auto decoder = OpenVideoDecoder({options.path, nullptr});
    LC_ASSERT_OK(decoder);
    EXPECT_EQ((*decoder)->frame_count(), 40);
    EXPECT_TRUE((*decoder)->notes().empty());
    for (int i = 20; i < 40; ++i) {
      const auto picture = (*decoder)->Decode(i);
      LC_ASSERT_OK(picture);
      EXPECT_EQ(test::ReadNumber(picture->view()), i);
    }
  }
}

TEST_F(MovieSink, OddSizesArePaddedToEvenAndTheReportSaysSo) {
  for (const auto& [width, height] :
       std::vector<std::pair<int, int>>{{641, 361}, {1, 1}, {8191, 3}, {3, 8191}}) {
    auto options = Options(folder_ / "out.mp4", width, height);
    options.overwrite = true;
    auto sink = OpenSink(options.path.string(), "", options);
    LC_ASSERT_OK(sink);
    const Picture picture = Solid(PixelFormat::kI420, width, height, {30, 60, 200});
    for (int i = 0; i < 3; ++i) LC_ASSERT_OK((*sink)->WriteFrame(picture.view()));
    auto report = (*sink)->Finish();
    LC_ASSERT_OK(report);
    ASSERT_EQ(report->notes.size(), 1u);
    EXPECT_NE(report->notes[0].find("padded to"), std::string::npos);
    const int padded_width = width + 1, padded_height = height + 1;
    EXPECT_EQ(Probe(options.path, "v", "stream=width,height,nb_frames"),
              std::to_string(padded_width) + "," + std::to_string(padded_height) + ",3");
    auto decoder = OpenVideoDecoder({options.path, nullptr});
    LC_ASSERT_OK(decoder);
    const auto back = (*decoder)->Decode(2);
    LC_ASSERT_OK(back);
    const PictureView view = back->view();
    // The padding repeats the edge.
    EXPECT_NEAR(view.plane[0][(padded_height - 1) * view.stride[0] + padded_width - 1],
                picture.data()[0], 4);
  }
}

TEST_F(MovieSink, SoundInMkvIsUnchangedToTheBit) {
  const std::pair<SampleType, const char*> types[] = {
      {SampleType::kU8, "u8"},       {SampleType::kS16, "s16le"}, {SampleType::kS24, "s24le"},
      {SampleType::kS32, "s32le"},   {SampleType::kF32, "f32le"}, {SampleType::kF64, "f64le"},
      {SampleType::kMulaw, "mulaw"}, {SampleType::kAlaw, "alaw"}};
  for (const auto& [type, name] : types) {
    for (const int channels : {1, 2, 6}) {
      const bool g711 = type == SampleType::kMulaw || type == SampleType::kAlaw;
      auto options = Options(folder_ / "out.mkv", 160, 64);
      options.overwrite = true;
      options.audio = AudioFormat{g711 ? 8000 : 44100, channels, type};
      const auto pcm = test::Tone(*options.audio, options.audio->rate_hz / 3 + 7);
      auto report = WriteMovie(options, options.audio->rate_hz / 3 + 7, pcm);
      LC_ASSERT_OK(report);
      test::Run("ffmpeg -v error -y -i " + Quoted(options.path) + " -vn -c copy -f " + name + " " +
                Quoted(folder_ / "pcm"));
      const std::vector<uint8_t> back = ReadFile(folder_ / "pcm");
      ASSERT_EQ(back.size(), pcm.size()) << name << " " << channels;
      EXPECT_EQ(std::memcmp(back.data(), pcm.data(), pcm.size()), 0) << name << " " << channels;
      EXPECT_EQ(Probe(options.path, "a", "stream=codec_name,sample_rate,channels"),
                std::string("pcm_") + name + "," + std::to_string(options.audio->rate_hz) + "," +
                    std::to_string(channels));
    }
  }
}

TEST_F(MovieSink, AacKeepsTheSourcesRateAndChannels) {
  for (const int rate : {8000, 11025, 16000, 22050, 44100, 48000, 96000}) {
    for (const int channels : {1, 2, 3, 4, 5, 6, 7, 8}) {
      if (channels > 2 && rate != 48000) continue;
      auto options = Options(folder_ / "out.mp4", 160, 64);
      options.overwrite = true;
      options.audio = AudioFormat{rate, channels, SampleType::kS16};
      auto report = WriteMovie(options, rate, test::Tone(*options.audio, rate));
      LC_ASSERT_OK(report);
      EXPECT_TRUE(report->notes.empty());
      EXPECT_EQ(report->encoder, "libx264 + aac");
      EXPECT_EQ(Probe(options.path, "a", "stream=codec_name,sample_rate,channels"),
                "aac," + std::to_string(rate) + "," + std::to_string(channels));
    }
  }
}

TEST_F(MovieSink, ARateThatAacLacksIsResampledAndSaid) {
  EXPECT_EQ(AacRate(48000), 48000);
  EXPECT_EQ(AacRate(192000), 96000);
  EXPECT_EQ(AacRate(176400), 88200);
  EXPECT_EQ(AacRate(37800), 44100);
  for (const auto& [rate, wanted] : {std::pair(192000, 96000), std::pair(37800, 44100)}) {
    auto options = Options(folder_ / "out.mp4", 160, 64);
    options.overwrite = true;
    options.audio = AudioFormat{rate, 2, SampleType::kS24};
    auto report = WriteMovie(options, rate, test::Tone(*options.audio, rate));
    LC_ASSERT_OK(report);
    ASSERT_EQ(report->notes.size(), 1u);
    EXPECT_NE(report->notes[0].find("sound resampled from " + std::to_string(rate) + " to " +
                                    std::to_string(wanted)),
              std::string::npos);
    EXPECT_NEAR(std::stod(Probe(options.path, "a", "stream=duration")), 1.0, 0.001);
    EXPECT_EQ(Probe(options.path, "a", "stream=sample_rate"), std::to_string(wanted));
  }
}

TEST_F(MovieSink, ATonePulseInAacStaysWhereItWas) {
  std::vector<float> samples(48000);
  for (size_t i = 24000; i < 24480; ++i) samples[i] = i % 24 < 12 ? 0.8f : -0.8f;
  const auto bytes = std::as_bytes(std::span(samples));
  for (const std::optional<int64_t> announced :
       {std::optional<int64_t>(), std::optional<int64_t>(48000)}) {
    auto options = Options(folder_ / "out.mp4", 160, 64);
    options.overwrite = true;
    options.audio = AudioFormat{48000, 1, SampleType::kF32};
    options.audio_samples = announced;
    LC_ASSERT_OK(WriteMovie(options, 48000, {bytes.begin(), bytes.end()}));
    test::Run("ffmpeg -v error -y -i " + Quoted(options.path) + " -vn -f f32le " +
              Quoted(folder_ / "pcm"));
    const std::vector<uint8_t> raw = ReadFile(folder_ / "pcm");
    std::vector<float> back(raw.size() / 4);
    std::memcpy(back.data(), raw.data(), back.size() * 4);
    double weight = 0, moment = 0;
    for (size_t i = 0; i < back.size(); ++i) {
      weight += back[i] * back[i];
      moment += static_cast<double>(i) * back[i] * back[i];
    }
    EXPECT_NEAR(moment / weight, 24239.5, 48) << announced.value_or(-1);  // one millisecond
  }
}

TEST_F(MovieSink, NothingStandsUnderTheFinalNameUntilFinish) {
  for (const char* name : {"out.mp4", "out.mkv"}) {
    auto options = Options(folder_ / name, 160, 64);
    options.audio = AudioFormat{};
    {
      auto sink = OpenSink(options.path.string(), "", options);
      LC_ASSERT_OK(sink);
      for (int i = 0; i < 5; ++i) LC_ASSERT_OK((*sink)->WriteFrame(Numbered(160, 64, i).view()));
      LC_ASSERT_OK((*sink)->WriteAudio(test::Tone(AudioFormat{}, 3200)));
      EXPECT_FALSE(std::filesystem::exists(options.path));
      EXPECT_EQ(folder_.Names().size(), 1u);
    }
    EXPECT_TRUE(folder_.Names().empty()) << "destroyed without Finish";
  }
}

TEST_F(MovieSink, AMovieStoppedHalfwayIsPlayable) {
  auto options = Options(folder_ / "out.mp4", 160, 64);
  options.audio = AudioFormat{};
  auto sink = OpenSink(options.path.string(), "", options);
  LC_ASSERT_OK(sink);
  for (int i = 0; i < 7; ++i) {
    LC_ASSERT_OK((*sink)->WriteFrame(Numbered(160, 64, i).view()));
    LC_ASSERT_OK((*sink)->WriteAudio(test::Tone(AudioFormat{}, 640)));
  }
  LC_ASSERT_OK((*sink)->Finish());
  EXPECT_EQ(test::Run("ffmpeg -v error -i " + Quoted(options.path) + " -f null -"), "");
  EXPECT_EQ(Probe(options.path, "v", "stream=nb_frames"), "7");
}

TEST_F(MovieSink, NoFramesAndNoSoundIsAnEmptyFileAndANormalEnd) {
  for (const char* name : {"out.mp4", "out.mkv"}) {
    auto options = Options(folder_ / name, 160, 64);
    options.audio = AudioFormat{};
    auto sink = OpenSink(options.path.string(), "", options);
    LC_ASSERT_OK(sink);
    auto report = (*sink)->Finish();
    LC_ASSERT_OK(report);
    EXPECT_EQ(report->frames, 0);
    EXPECT_EQ(report->notes, std::vector<std::string>{"0 frames: the movie is empty"});
    EXPECT_GT(std::filesystem::file_size(options.path), 0u);
    EXPECT_EQ(OpenVideo({options.path, nullptr}).ok(), false);
  }
}

TEST_F(MovieSink, RefusesInOneLineThatNamesTheFile) {
  test::WriteFile(folder_ / "there.mp4", {1, 2, 3});
  test::WriteFile(folder_ / "plain", {1});
  const auto open = [&](const std::filesystem::path& path, auto change) {
    auto options = Options(path, 160, 64);
    change(&options);
    return test::StatusOf(OpenSink(path.string(), "", options));
  };
  const auto nothing = [](SinkOptions*) {};
  EXPECT_EQ(open(folder_ / "there.mp4", nothing).code(), Code::kAlreadyExists);
  EXPECT_EQ(ReadFile(folder_ / "there.mp4").size(), 3u);
  EXPECT_EQ(open(folder_ / "plain/out.mp4", nothing).code(), Code::kNotFound);
  const Status preset = open(folder_ / "out.mp4", [](SinkOptions* o) { o->preset = "warp"; });
  EXPECT_NE(preset.message().find("preset 'warp'"), std::string::npos) << preset.message();
  const Status encoder =
      open(folder_ / "out.mp4", [](SinkOptions* o) { o->h264_encoder = "nosuch"; });
  EXPECT_EQ(encoder.code(), Code::kUnimplemented);
  EXPECT_NE(encoder.message().find("h264_encoder 'nosuch'"), std::string::npos);
  EXPECT_EQ(open(folder_ / "out.mp4", [](SinkOptions* o) { o->h264_encoder = "aac"; }).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(folder_.Names().size(), 2u);
}

TEST_F(MovieSink, AnErrorSticksAndTheFileGoesAway) {
  {
    auto options = Options(folder_ / "out.mp4", 160, 64);
    auto sink = OpenSink(options.path.string(), "", options);
    LC_ASSERT_OK(sink);
    const Status first = (*sink)->WriteFrame(Numbered(162, 64, 0).view());
    EXPECT_EQ(first.code(), Code::kInvalidArgument);
    EXPECT_EQ((*sink)->WriteFrame(Numbered(160, 64, 0).view()), first);
    EXPECT_EQ((*sink)->Finish().status(), first);
  }
  EXPECT_TRUE(folder_.Names().empty());
  auto silent = OpenSink((folder_ / "out.mp4").string(), "", Options("", 160, 64));
  LC_ASSERT_OK(silent);
  EXPECT_EQ((*silent)->WriteAudio(test::Tone(AudioFormat{}, 10)).code(), Code::kFailedPrecondition);
}

TEST_F(MovieSink, TheSameFramesGiveTheSameBytes) {
  std::vector<uint8_t> files[2];
  for (int run = 0; run < 2; ++run) {
    auto options = Options(folder_ / "out.mp4", 160, 64);
    options.overwrite = true;
    options.threads = 2;
    options.audio = AudioFormat{16000, 1, SampleType::kS16};
    LC_ASSERT_OK(WriteMovie(options, 16000, test::Tone(*options.audio, 16000)));
    files[run] = ReadFile(options.path);
  }
  EXPECT_EQ(files[0], files[1]);
}

TEST_F(MovieSink, TakesAnyUtf8Path) {
  const auto odd = folder_ / "Анна 😀: 100% и кот.";
  std::filesystem::create_directory(odd);
  auto options = Options(odd / "фильм: 1.mp4", 160, 64);
  options.audio = AudioFormat{};
  LC_ASSERT_OK(WriteMovie(options, 1600, test::Tone(*options.audio, 1600)));
  LC_ASSERT_OK(OpenVideo({options.path, nullptr}));
}

TEST(FindEncoders, SeesTheEncodersOfThisMachine) {
  const EncoderInfo info = FindEncoders();
  EXPECT_TRUE(info.libav);
  EXPECT_EQ(info.libav_version.rfind("libavformat ", 0), 0u);
  ASSERT_FALSE(info.h264_encoders.empty());
  EXPECT_FALSE(info.aac_encoders.empty());
}

}  // namespace
}  // namespace lipcast::media
