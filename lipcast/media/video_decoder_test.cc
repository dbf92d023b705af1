#include "lipcast/media/video_decoder.h"

#include "lipcast/media/media_test_support.h"
#include "lipcast/media/open_sink.h"

namespace lipcast::media {
namespace {

using test::Numbered;
using test::Options;
using test::Quoted;
using test::ReadFile;
using test::ReadNumber;
using test::TempFolder;

class VideoDecoderTest : public ::testing::Test {
 protected:
  void SetUp() override { InitLibav(); }

  /// A numbered movie of our own, 320x64, key frames where x264 wants them.
  std::filesystem::path Write(const std::string& name, int frames, Rational fps = {25, 1}) {
    auto options = Options(folder_ / name, 320, 64, fps);
    options.preset = "veryfast";
    auto sink = OpenSink(options.path.string(), "", options);
    EXPECT_TRUE(sink.ok()) << sink.status().message();
    for (int i = 0; i < frames; ++i) {
      EXPECT_TRUE((*sink)->WriteFrame(Numbered(320, 64, i).view()).ok());
    }
    EXPECT_TRUE((*sink)->Finish().ok());
    return options.path;
  }

  /// The same frames made into something else by ffmpeg.
  std::filesystem::path Remake(const std::filesystem::path& from, const std::string& name,
                               const std::string& settings) {
    test::Run("ffmpeg -v error -y -i " + Quoted(from) + " " + settings + " " +
              Quoted(folder_ / name));
    return folder_ / name;
  }

  TempFolder folder_;
};

TEST_F(VideoDecoderTest, AnyOrderGivesTheFrameOfThatNumber) {
  const auto whole = Write("a.mp4", 90);
  const auto many_keys = Remake(whole, "b.mp4", "-c:v libx264 -g 12 -bf 3");
  const auto mkv = Remake(whole, "c.mkv", "-c:v libx264 -g 12 -bf 3");
  const auto webm = Remake(whole, "d.webm", "-c:v libvpx -g 20 -b:v 2M -deadline realtime");
  const auto ts = Remake(whole, "e.ts", "-c:v libx264 -g 12 -bf 2");
  const auto mjpeg = Remake(whole, "f.avi", "-c:v mjpeg -q:v 3");
  for (const auto& path : {whole, many_keys, mkv, webm, ts, mjpeg}) {
    auto decoder = OpenVideo({path, nullptr});
    LC_ASSERT_OK(decoder);
    EXPECT_EQ((*decoder)->frame_count(), 90) << path;
    EXPECT_EQ((*decoder)->fps(), (Rational{25, 1})) << path;
    for (const int index : {0, 1, 2, 40, 39, 41, 89, 88, 0, 13, 12, 11, 12, 60, 24, 89}) {
      EXPECT_LE((*decoder)->KeyFrameBefore(index), index);
      const auto picture = (*decoder)->Decode(index);
      LC_ASSERT_OK(picture);
      EXPECT_EQ(ReadNumber(picture->view()), index) << path;
    }
    EXPECT_EQ((*decoder)->Decode(90).status().code(), Code::kOutOfRange);
    EXPECT_EQ((*decoder)->Decode(-1).status().code(), Code::kOutOfRange);
  }
}

TEST_F(VideoDecoderTest, KeyFrameBeforeTellsWhatADecodeCosts) {
  const auto path = Remake(Write("a.mp4", 60), "b.mp4",
                           "-c:v libx264 -g 12 -keyint_min 12 -sc_threshold 0 -bf 0");
  auto decoder = OpenVideo({path, nullptr});
  LC_ASSERT_OK(decoder);
  EXPECT_EQ((*decoder)->KeyFrameBefore(30), 24);
  EXPECT_EQ((*decoder)->KeyFrameBefore(5), 1);  // frame 0 was decoded at open: 1 comes next
  LC_ASSERT_OK((*decoder)->Decode(30));
  EXPECT_EQ((*decoder)->KeyFrameBefore(30), 30);
  EXPECT_EQ((*decoder)->KeyFrameBefore(33), 31);
  EXPECT_EQ((*decoder)->KeyFrameBefore(29), 24);
  EXPECT_EQ((*decoder)->KeyFrameBefore(50), 48);
}

TEST_F(VideoDecoderTest, BytesInMemoryGiveTheSameFrames) {
  const auto path = Write("a.mp4", 30);
  auto bytes = std::make_shared<const std::vector<uint8_t>>(ReadFile(path));
  auto from_file = OpenVideo({path, nullptr});
  auto from_bytes = OpenVideo({"frames.mp4", bytes});
  LC_ASSERT_OK(from_file);
  LC_ASSERT_OK(from_bytes);
  EXPECT_EQ((*from_bytes)->width(), 320);
  for (const int index : {0, 29, 7, 8}) {
    const auto a = (*from_file)->Decode(index), b = (*from_bytes)->Decode(index);
    LC_ASSERT_OK(a);
    LC_ASSERT_OK(b);
    EXPECT_EQ(std::memcmp(a->data(), b->data(), a->size_bytes()), 0);
  }
}

TEST_F(VideoDecoderTest, FractionalRatesStayExact) {
  for (const char* name : {"a.mp4", "a.mkv"}) {
    auto decoder = OpenVideoDecoder({Write(name, 300, {30000, 1001}), nullptr});
    LC_ASSERT_OK(decoder);
    EXPECT_EQ((*decoder)->fps(), (Rational{30000, 1001})) << name;
    EXPECT_EQ((*decoder)->frame_count(), 300) << name;
    EXPECT_TRUE((*decoder)->notes().empty()) << name;
  }
}

TEST_F(VideoDecoderTest, AVariableRateIsResampledByTimeAndNoted) {
  const auto path =
      Remake(Write("a.mp4", 360, {60, 1}), "v.mp4",
             "-vf \"select='lt(n,120)+not(mod(n,4))'\" -vsync vfr -c:v libx264 -crf 18");
  auto decoder = OpenVideoDecoder({path, nullptr});
  LC_ASSERT_OK(decoder);
  EXPECT_EQ((*decoder)->fps(), (Rational{60, 1}));
  EXPECT_EQ((*decoder)->frame_count(), 357);
  ASSERT_FALSE((*decoder)->notes().empty());
  EXPECT_NE((*decoder)->notes()[0].find("variable frame rate (180 frames)"), std::string::npos);
  for (int i = 0; i < 357; ++i) {
    const auto picture = (*decoder)->Decode(i);
    LC_ASSERT_OK(picture);
    ASSERT_EQ(ReadNumber(picture->view()), i < 120 ? i : i / 4 * 4);
  }
}

TEST_F(VideoDecoderTest, RotatedAndMirroredVideoStandsUpright) {
  const auto upright = Write("up.mp4", 12);
  // Each was stored turned, and tagged with the way back.
  const struct {
    const char* store;  // a filter that turns the picture before it is stored
    const char* tag;    // what players do to show it
  } cases[] = {{"transpose=cclock", "90"}, {"hflip,vflip", "180"}, {"transpose=clock", "270"}};
  for (const auto& c : cases) {
    Remake(upright, "stored.mp4", std::string("-vf ") + c.store + " -c:v libx264 -crf 10");
    const auto path = Remake(folder_ / "stored.mp4", "tagged.mp4",
                             std::string("-c copy -metadata:s:v:0 rotate=") + c.tag);
    auto decoder = OpenVideo({path, nullptr});
    LC_ASSERT_OK(decoder);
    EXPECT_EQ((*decoder)->width(), 320) << c.tag;
    EXPECT_EQ((*decoder)->height(), 64) << c.tag;
    for (const int index : {0, 5, 11}) {
      const auto picture = (*decoder)->Decode(index);
      LC_ASSERT_OK(picture);
      EXPECT_EQ(picture->width(), 320);
      EXPECT_EQ(ReadNumber(picture->view()), index) << c.tag;
    }
  }
  // Mirrored: the matrix in the track header of an MP4 gets its first cell negated.
  Remake(upright, "stored.mp4", "-vf hflip -c:v libx264 -crf 10");
  std::vector<uint8_t> bytes = ReadFile(folder_ / "stored.mp4");
  const std::string text(bytes.begin(), bytes.end());
  const size_t header = text.find("tkhd");
  ASSERT_NE(header, std::string::npos);
  const size_t matrix = header + 4 + 40;
  ASSERT_EQ(bytes[matrix + 1], 1);
  bytes[matrix] = bytes[matrix + 1] = 0xff;
  auto decoder = OpenVideo({"m.mp4", std::make_shared<const std::vector<uint8_t>>(bytes)});
  LC_ASSERT_OK(decoder);
  const auto picture = (*decoder)->Decode(9);
  LC_ASSERT_OK(picture);
  EXPECT_EQ(ReadNumber(picture->view()), 9);
}

TEST_F(VideoDecoderTest, EverySourceColourBecomesBt709Limited) {
  // One colour, stored in many ways; ffmpeg's own conversions make them.
  const test::Bgr color{40, 90, 200};
  const test::Yuv wanted = test::ToBt709(color);
  std::vector<uint8_t> raw;
  for (int i = 0; i < 64 * 64; ++i) raw.insert(raw.end(), {40, 90, 200});
  test::WriteFile(folder_ / "raw", raw);
  const struct {
    const char* name;
    const char* settings;
  } cases[] = {
      {"444.mkv", "-vf scale=out_color_matrix=bt709,format=yuv444p -colorspace bt709 -c:v ffv1"},
      {"full.mkv",
       "-vf scale=out_color_matrix=bt709:out_range=full,format=yuvj420p -colorspace bt709 "
       "-color_range pc -c:v ffv1"},
      {"601.mkv",
       "-vf scale=out_color_matrix=bt601,format=yuv420p -colorspace smpte170m -color_range tv "
       "-c:v ffv1"},
      {"untagged.mkv", "-vf scale=out_color_matrix=bt601,format=yuv420p -c:v ffv1"},
      {"10bit.mkv",
       "-vf scale=out_color_matrix=bt709,format=yuv420p10le -colorspace bt709 -c:v ffv1"},
      {"full601.avi",
       "-vf scale=out_color_matrix=bt601:out_range=full,format=yuvj444p -c:v mjpeg -q:v 1"},
      {"gbr.mkv", "-vf format=gbrp -c:v libx264rgb -crf 0"},
      {"hd.mp4",
       "-vf scale=1280:720:out_color_matrix=bt709,format=yuv420p -c:v libx264 -crf 5 -preset "
       "ultrafast"},
  };
  for (const auto& c : cases) {
    test::Run("ffmpeg -v error -y -f rawvideo -pix_fmt bgr24 -s 64x64 -r 25 -i " +
              Quoted(folder_ / "raw") + " " + c.settings + " " + Quoted(folder_ / c.name));
    auto decoder = OpenVideoDecoder({folder_ / c.name, nullptr});
    LC_ASSERT_OK(decoder);
    ASSERT_EQ((*decoder)->format(), PixelFormat::kI420) << c.name;
    const auto picture = (*decoder)->Decode(0);
    LC_ASSERT_OK(picture);
    const PictureView view = picture->view();
    EXPECT_NEAR(view.plane[0][20 * view.stride[0] + 20], wanted.y, 3) << c.name;
    EXPECT_NEAR(view.plane[1][10 * view.stride[1] + 10], wanted.u, 3) << c.name;
    EXPECT_NEAR(view.plane[2][10 * view.stride[2] + 10], wanted.v, 3) << c.name;
  }
  auto untagged = OpenVideoDecoder({folder_ / "untagged.mkv", nullptr});
  LC_ASSERT_OK(untagged);
  EXPECT_EQ((*untagged)->notes(),
            std::vector<std::string>{"colours are not tagged: BT.601 assumed"});
}

TEST_F(VideoDecoderTest, Vp9AlphaIsTheTrueMask) {
  std::vector<uint8_t> raw;
  for (int frame = 0; frame < 5; ++frame) {
    for (int y = 0; y < 64; ++y) {
      for (int x = 0; x < 64; ++x) {
        raw.insert(raw.end(), {40, 90, 200, static_cast<uint8_t>(x < 32 ? 255 : y * 3)});
      }
    }
  }
  test::WriteFile(folder_ / "raw", raw);
  for (const char* settings : {"-c:v libvpx-vp9 -pix_fmt yuva420p -b:v 1M a.webm", "-c:v png a.mov",
                               "-c:v ffv1 -pix_fmt bgra a.mkv"}) {
    const std::string text = settings;
    const std::string name = text.substr(text.rfind(' ') + 1);
    test::Run("ffmpeg -v error -y -f rawvideo -pix_fmt bgra -s 64x64 -r 25 -i " +
              Quoted(folder_ / "raw") + " " + text.substr(0, text.rfind(' ')) + " " +
              Quoted(folder_ / name));
    auto decoder = OpenVideo({folder_ / name, nullptr});
    LC_ASSERT_OK(decoder);
    ASSERT_EQ((*decoder)->format(), PixelFormat::kBgra32) << name;
    for (const int index : {4, 0, 2}) {
      const auto picture = (*decoder)->Decode(index);
      LC_ASSERT_OK(picture);
      const auto pixel = [&](int x, int y) { return picture->data() + 4 * (y * 64 + x); };
      EXPECT_NEAR(pixel(10, 30)[3], 255, 3) << name;
      EXPECT_NEAR(pixel(50, 40)[3], 120, 6) << name;
      EXPECT_NEAR(pixel(10, 30)[0], 40, 8) << name;
      EXPECT_NEAR(pixel(10, 30)[1], 90, 8) << name;
      EXPECT_NEAR(pixel(10, 30)[2], 200, 8) << name;
    }
  }
}

TEST_F(VideoDecoderTest, ACutFileSaysHowMuchIsThere) {
  for (const char* name : {"a.mp4", "a.mkv"}) {
    std::vector<uint8_t> bytes = ReadFile(Write(name, 90));
    bytes.resize(bytes.size() * 3 / 5);
    const Status status =
        OpenVideo({name, std::make_shared<const std::vector<uint8_t>>(bytes)}).status();
    EXPECT_EQ(status.code(), Code::kDataLoss) << name << ": " << status.ToString();
    EXPECT_NE(status.message().find("frames are there"), std::string::npos) << status.message();
  }
}

TEST_F(VideoDecoderTest, WhatIsNoVideoIsNamedInOneLine) {
  test::WriteFile(folder_ / "empty.mp4", {});
  test::WriteFile(folder_ / "text.mp4", std::vector<uint8_t>(500, 'x'));
  test::Run("ffmpeg -v error -f lavfi -i sine=d=1 " + Quoted(folder_ / "sound.m4a"));
  test::WriteFile(folder_ / "list.mp4",
                  {'#', 'E', 'X', 'T', 'M', '3', 'U', '\n', '/', 'e', 't', 'c', '\n'});
  EXPECT_EQ(OpenVideo({folder_ / "none.mp4", nullptr}).status().code(), Code::kNotFound);
  EXPECT_NE(OpenVideo({folder_ / "empty.mp4", nullptr}).status().message().find("0 bytes"),
            std::string::npos);
  EXPECT_EQ(OpenVideo({folder_ / "sound.m4a", nullptr}).status().message(),
            "no video stream in '" + (folder_ / "sound.m4a").string() + "' (found: audio aac)");
  for (const auto& path : {folder_ / "text.mp4", folder_ / "list.mp4", folder_.path()}) {
    const Status status = OpenVideo({path, nullptr}).status();
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
    EXPECT_NE(status.message().find(path.filename().string()), std::string::npos);
  }
}

TEST_F(VideoDecoderTest, AnyDamageGivesFramesOrAnError) {
  const std::vector<uint8_t> bytes = ReadFile(Write("a.mp4", 20));
  int refused = 0;
  for (size_t at = 3; at < bytes.size(); at += bytes.size() / 60) {
    std::vector<uint8_t> damaged = bytes;
    for (size_t i = at; i < std::min(at + 8, bytes.size()); ++i) damaged[i] ^= 0xa5;
    auto decoder = OpenVideo({"x.mp4", std::make_shared<const std::vector<uint8_t>>(damaged)});
    if (!decoder.ok()) {
      ++refused;
      continue;
    }
    for (int64_t i = 0; i < (*decoder)->frame_count(); ++i) {
      if (!(*decoder)->Decode(i).ok()) {
        ++refused;
        break;
      }
    }
  }
  EXPECT_GT(refused, 5);
}

}  // namespace
}  // namespace lipcast::media
