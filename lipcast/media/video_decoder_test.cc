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
  // Stored turned by a filter; the track header's matrix leads back: x' = ax + cy, y' = bx + dy.
  const struct {
    const char* store;
    int a, b, c, d;
  } cases[] = {
      {"null", 1, 0, 0, 1},
      {"hflip", -1, 0, 0, 1},  // a phone's front camera
      {"vflip", 1, 0, 0, -1},
      {"hflip,vflip", -1, 0, 0, -1},
      {"transpose=cclock", 0, 1, -1, 0},  // a phone held upright
      {"transpose=clock", 0, -1, 1, 0},
      {"transpose=cclock_flip", 0, 1, 1, 0},
      {"transpose=clock_flip", 0, -1, -1, 0},
  };
  for (const auto& c : cases) {
    Remake(upright, "stored.mp4", std::string("-vf ") + c.store + " -c:v libx264 -crf 10");
    std::vector<uint8_t> bytes = ReadFile(folder_ / "stored.mp4");
    const std::string text(bytes.begin(), bytes.end());
    const size_t matrix = text.find("tkhd") + 4 + 40;
    ASSERT_LT(matrix, bytes.size());
    const auto put = [&](size_t cell, int value) {  // 16.16, high byte first
      const uint8_t high[2] = {static_cast<uint8_t>(value < 0 ? 0xff : 0),
                               static_cast<uint8_t>(value)};
      std::memcpy(&bytes[matrix + 4 * cell], high, sizeof high);
    };
    put(0, c.a);
    put(1, c.b);
    put(3, c.c);
    put(4, c.d);
    test::WriteFile(folder_ / "tagged.mp4", bytes);
    // ffmpeg as a player shows it: the matrix above is right.
    test::Run("ffmpeg -v error -y -i " + Quoted(folder_ / "tagged.mp4") +
              " -f rawvideo -pix_fmt yuv420p " + Quoted(folder_ / "shown"));
    const std::vector<uint8_t> shown = ReadFile(folder_ / "shown");
    ASSERT_EQ(shown.size(), 12u * 320 * 64 * 3 / 2);
    auto decoder = OpenVideo({folder_ / "tagged.mp4", nullptr});
    LC_ASSERT_OK(decoder);
    ASSERT_EQ((*decoder)->width(), 320) << c.store;
    ASSERT_EQ((*decoder)->height(), 64) << c.store;
    for (const int index : {0, 5, 11}) {
      const PictureView player{
          PixelFormat::kI420, 320, 64, {shown.data() + index * 320 * 64 * 3 / 2}, {320}};
      EXPECT_EQ(ReadNumber(player), index) << c.store;
      const auto picture = (*decoder)->Decode(index);
      LC_ASSERT_OK(picture);
      EXPECT_EQ(picture->width(), 320);
      EXPECT_EQ(ReadNumber(picture->view()), index) << c.store;
    }
  }
}

TEST_F(VideoDecoderTest, EverySourceColourBecomesBt709Limited) {
  // One colour, stored in many ways; ffmpeg's own conversions make them. What the encoder does
  // not take is named in the filter, or ffmpeg converts once more behind the tags.
  const struct {
    const char* name;
    const char* settings;
  } cases[] = {
      {"444.mkv", "-vf scale=out_color_matrix=bt709,format=yuv444p -colorspace bt709 -c:v ffv1"},
      {"422.mkv", "-vf scale=out_color_matrix=bt709,format=yuv422p -colorspace bt709 -c:v ffv1"},
      {"full.mkv",
       "-vf scale=out_color_matrix=bt709:out_range=full,format=yuv420p -colorspace bt709 "
       "-color_range pc -c:v ffv1"},
      {"fullj.mp4",
       "-vf scale=out_color_matrix=bt709:out_range=full,format=yuvj420p -colorspace bt709 "
       "-color_range pc -c:v libx264 -crf 1"},
      {"601.mkv",
       "-vf scale=out_color_matrix=bt601,format=yuv420p -colorspace smpte170m -color_range tv "
       "-c:v ffv1"},
      {"full601.mkv",
       "-vf scale=out_color_matrix=bt601:out_range=full,format=yuv420p -colorspace bt470bg "
       "-color_range pc -c:v ffv1"},
      {"2020.mkv",
       "-vf scale=out_color_matrix=bt2020,format=yuv420p10le -colorspace bt2020nc -c:v ffv1"},
      {"untagged.mkv", "-vf scale=out_color_matrix=bt601,format=yuv420p -c:v ffv1"},
      {"10bit.mkv",
       "-vf scale=out_color_matrix=bt709,format=yuv420p10le -colorspace bt709 -c:v ffv1"},
      {"10full.mkv",
       "-vf scale=out_color_matrix=bt709:out_range=full,format=yuv422p10le -colorspace bt709 "
       "-color_range pc -c:v ffv1"},
      {"full601.avi",
       "-vf scale=out_color_matrix=bt601:out_range=full,format=yuvj444p -c:v mjpeg -q:v 1"},
      {"gbr.mkv", "-vf format=gbrp -c:v libx264rgb -crf 0"},
      {"bgr.avi", "-vf format=bgr24 -c:v rawvideo"},
      {"hd.mp4",
       "-vf scale=1280:720:out_color_matrix=bt709,format=yuv420p -c:v libx264 -crf 5 -preset "
       "ultrafast"},
  };
  // Two, so that each plane is far from where two ranges or two matrices meet.
  for (const test::Bgr color : {test::Bgr{40, 90, 200}, test::Bgr{235, 220, 150}}) {
    const test::Yuv wanted = test::ToBt709(color);
    std::vector<uint8_t> raw;
    for (int i = 0; i < 64 * 64; ++i) {
      for (const int level : {color.b, color.g, color.r}) {
        raw.push_back(static_cast<uint8_t>(level));
      }
    }
    test::WriteFile(folder_ / "raw", raw);
    for (const auto& c : cases) {
      test::Run("ffmpeg -v error -y -f rawvideo -pix_fmt bgr24 -s 64x64 -r 25 -i " +
                Quoted(folder_ / "raw") + " " + c.settings + " " + Quoted(folder_ / c.name));
      auto decoder = OpenVideoDecoder({folder_ / c.name, nullptr});
      LC_ASSERT_OK(decoder);
      ASSERT_EQ((*decoder)->format(), PixelFormat::kI420) << c.name;
      const auto picture = (*decoder)->Decode(0);
      LC_ASSERT_OK(picture);
      const PictureView view = picture->view();
      EXPECT_NEAR(view.plane[0][20 * view.stride[0] + 20], wanted.y, 2) << c.name;
      EXPECT_NEAR(view.plane[1][10 * view.stride[1] + 10], wanted.u, 2) << c.name;
      EXPECT_NEAR(view.plane[2][10 * view.stride[2] + 10], wanted.v, 2) << c.name;
    }
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
