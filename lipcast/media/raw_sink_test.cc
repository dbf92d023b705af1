#include "lipcast/media/raw_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using test::Make;
using test::Numbered;
using test::Options;
using test::Probe;
using test::ReadFile;
using test::Solid;

TEST(RawSink, BgrIsTheRowsAndNothingElse) {
  TempFolder folder;
  auto sink = CreateRawSink(RawLayout::kBgr24, Options(folder / "out.bgr", 5, 3));
  LC_ASSERT_OK(sink);
  EXPECT_EQ((*sink)->wanted_format(), PixelFormat::kBgr24);
  // A view with a stride: only its own pixels may come out.
  Picture wide = Make(PixelFormat::kBgr24, 9, 3);
  for (size_t i = 0; i < wide.size_bytes(); ++i) wide.data()[i] = static_cast<uint8_t>(i);
  LC_ASSERT_OK((*sink)->WriteFrame(Crop(wide.view(), {2, 0, 7, 3})));
  EXPECT_FALSE(std::filesystem::exists(folder / "out.bgr"));
  auto report = (*sink)->Finish();
  LC_ASSERT_OK(report);
  EXPECT_EQ(report->frames, 1);
  EXPECT_EQ(report->bytes, 45);
  const std::vector<uint8_t> bytes = ReadFile(folder / "out.bgr");
  ASSERT_EQ(bytes.size(), 45u);
  for (int y = 0; y < 3; ++y) {
    for (int i = 0; i < 15; ++i) ASSERT_EQ(bytes[y * 15 + i], y * 27 + 6 + i);
  }
}

TEST(RawSink, Y4mOfAnOddSizeIsReadByFfmpegAsItWas) {
  TempFolder folder;
  auto options = Options(folder / "out.y4m", 641, 361, {30000, 1001});
  auto sink = CreateRawSink(RawLayout::kY4m, options);
  LC_ASSERT_OK(sink);
  std::vector<uint8_t> wanted;
  for (int i = 0; i < 3; ++i) {
    const Picture picture = Numbered(641, 361, i);
    wanted.insert(wanted.end(), picture.data(), picture.data() + picture.size_bytes());
    LC_ASSERT_OK((*sink)->WriteFrame(picture.view()));
  }
  LC_ASSERT_OK((*sink)->Finish());
  EXPECT_EQ(Probe(options.path, "v", "stream=width,height,pix_fmt,r_frame_rate"),
            "641,361,yuv420p,30000/1001");
  test::Run("ffmpeg -v error -i " + test::Quoted(options.path) + " -f rawvideo " +
            test::Quoted(folder / "back.yuv"));
  EXPECT_EQ(ReadFile(folder / "back.yuv"), wanted);
}

TEST(RawSink, AbortLeavesNothing) {
  TempFolder folder;
  {
    auto sink = CreateRawSink(RawLayout::kI420, Options(folder / "out.i420", 160, 32));
    LC_ASSERT_OK(sink);
    LC_ASSERT_OK((*sink)->WriteFrame(Numbered(160, 32, 1).view()));
  }
  EXPECT_TRUE(folder.Names().empty());
}

TEST(RawSink, AFullDiskSticksAsTheFirstError) {
  auto sink = CreateRawSink(RawLayout::kI420, Options("/dev/full", 160, 32));
  LC_ASSERT_OK(sink);
  const Status first = (*sink)->WriteFrame(Numbered(160, 32, 1).view());
  EXPECT_EQ(first.code(), Code::kResourceExhausted);
  EXPECT_NE(first.message().find("/dev/full"), std::string::npos);
  EXPECT_EQ((*sink)->WriteFrame(Numbered(160, 32, 2).view()), first);
  EXPECT_EQ((*sink)->Finish().status(), first);
}

TEST(RawSink, AReaderThatLeavesEndsItCleanly) {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  auto sink = CreateRawSinkToFd(RawLayout::kY4m, ends[1], "pipe", Options("-", 160, 32));
  LC_ASSERT_OK(sink);
  ::close(ends[0]);
  EXPECT_EQ((*sink)->WriteFrame(Numbered(160, 32, 1).view()).code(), Code::kCancelled);
  ::close(ends[1]);
}

TEST(RawSink, ANamedPipeIsWrittenToAndNotReplaced) {
  TempFolder folder;
  const std::filesystem::path fifo = folder / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  std::vector<uint8_t> got;
  std::thread reader([&] { got = ReadFile(fifo); });
  auto sink = CreateRawSink(RawLayout::kI420, Options(fifo, 160, 32));
  EXPECT_TRUE(sink.ok());
  const Picture picture = Numbered(160, 32, 5);
  EXPECT_TRUE((*sink)->WriteFrame(picture.view()).ok());
  EXPECT_TRUE((*sink)->Finish().ok());
  reader.join();
  EXPECT_EQ(got, std::vector<uint8_t>(picture.data(), picture.data() + picture.size_bytes()));
  EXPECT_TRUE(std::filesystem::is_fifo(fifo));
}

TEST(RawSink, SoundIsDroppedAndTheReportSaysSo) {
  TempFolder folder;
  auto options = Options(folder / "out.bgr", 2, 2);
  options.audio = audio::AudioFormat{};
  auto sink = CreateRawSink(RawLayout::kBgr24, options);
  LC_ASSERT_OK(sink);
  LC_ASSERT_OK((*sink)->WriteAudio(test::Tone(*options.audio, 3)));
  LC_ASSERT_OK((*sink)->WriteFrame(Solid(PixelFormat::kBgr24, 2, 2, {0, 0, 255}).view()));
  auto report = (*sink)->Finish();
  LC_ASSERT_OK(report);
  EXPECT_EQ(report->notes, std::vector<std::string>{"no sound: raw bgr24 has none"});
  EXPECT_EQ((*sink)->Finish().status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(ReadFile(options.path),
            (std::vector<uint8_t>{0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255}));
}

TEST(RawSink, AFrameOfAnotherSizeOrFormatIsRefusedWithItsNumber) {
  TempFolder folder;
  auto sink = CreateRawSink(RawLayout::kBgr24, Options(folder / "out.bgr", 4, 2));
  LC_ASSERT_OK(sink);
  LC_ASSERT_OK((*sink)->WriteFrame(Solid(PixelFormat::kBgr24, 4, 2, {1, 2, 3}).view()));
  const Status status = (*sink)->WriteFrame(Solid(PixelFormat::kI420, 4, 4, {1, 2, 3}).view());
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("frame 1 is i420 4x4: want bgr24 4x2"), std::string::npos)
      << status.message();
}

}  // namespace
}  // namespace lipcast::media
