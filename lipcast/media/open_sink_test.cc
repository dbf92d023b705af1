#include "lipcast/media/open_sink.h"

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using test::Options;

TEST(OpenSink, ChoosesByTheEndingWhateverItsCase) {
  TempFolder folder;
  for (const char* name : {"a.y4m", "a.BGR", "a.i420", "a.yuv", "%d.PNG", "%d.jpg", "%d.jpeg"}) {
    EXPECT_TRUE(OpenSink((folder / name).string(), "", Options("", 4, 4)).ok()) << name;
  }
}

TEST(OpenSink, TheFormatWinsOverTheEnding) {
  TempFolder folder;
  auto sink = OpenSink((folder / "video.mp4").string(), "bgr", Options("", 4, 4));
  LC_ASSERT_OK(sink);
  EXPECT_EQ((*sink)->wanted_format(), PixelFormat::kBgr24);
}

TEST(OpenSink, ARefusalListsWhatIsPossible) {
  TempFolder folder;
  for (const char* name : {"a.gif", "a", "a.mp4.", ".mp4x"}) {
    const Status status = OpenSink((folder / name).string(), "", Options("", 4, 4)).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << name;
    EXPECT_NE(status.message().find("want .mp4, .mkv"), std::string::npos) << status.message();
  }
  EXPECT_EQ(OpenSink("", "", Options("", 4, 4)).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(folder.Names().empty());
}

TEST(OpenSink, StandardOutputTakesRawVideoOnly) {
  for (const char* format : {"", "mp4", "png"}) {
    const Status status = OpenSink("-", format, Options("", 4, 4)).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_NE(status.message().find("want format y4m, bgr or i420"), std::string::npos);
  }
  EXPECT_TRUE(OpenSink("-", "bgr", Options("", 4, 4)).ok());
}

TEST(SinkOptions, NamesTheFieldTheValueAndTheLimit) {
  const auto message = [](auto change) {
    SinkOptions options = Options("x", 4, 4);
    change(&options);
    return options.Validate().message();
  };
  EXPECT_EQ(message([](SinkOptions*) {}), "");
  EXPECT_EQ(message([](SinkOptions* o) { o->width = 0; }), "width = 0: want 1..8192");
  EXPECT_EQ(message([](SinkOptions* o) { o->height = 8193; }), "height = 8193: want 1..8192");
  EXPECT_EQ(message([](SinkOptions* o) { o->crf = 60; }), "crf = 60: want 0..51");
  EXPECT_EQ(message([](SinkOptions* o) { o->jpeg_quality = 0; }), "jpeg_quality = 0: want 1..100");
  EXPECT_EQ(message([](SinkOptions* o) { o->threads = 0; }), "threads = 0: want 1..64");
  EXPECT_EQ(message([](SinkOptions* o) { o->fps = {1, 2}; }), "fps = 1/2: want 1..120");
  EXPECT_NE(message([](SinkOptions* o) { o->audio = audio::AudioFormat{4000}; }), "");
}

}  // namespace
}  // namespace lipcast::media
