#include "lipcast/media/image_sink.h"

#include "lipcast/media/image_codec.h"
#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using test::Options;
using test::ReadFile;
using test::Solid;
using test::WriteFile;

TEST(FramePattern, TakesExactlyOneNumberInTheFileName) {
  for (const char* bad : {"x.png", "%s.png", "%06d-%d.png", "%", "%6d.png", "%0d.png", "%013d.png",
                          "%06x.png", "%d%", "%-1d.png", "%n%d.png", "%d/x.png", "%%d.png"}) {
    EXPECT_EQ(FramePattern::Parse(bad).status().code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(FramePattern::Parse("a/%06d.png")->Name(12), "a/000012.png");
  EXPECT_EQ(FramePattern::Parse("%d.png")->Name(12), "12.png");
  EXPECT_EQ(FramePattern::Parse("%02d.png")->Name(123), "123.png");
  EXPECT_EQ(FramePattern::Parse("100%/50%%-%01d.png")->Name(0), "100%/50%-0.png");
}

TEST(ImageSink, PngKeepsEveryPixelAndAlpha) {
  TempFolder folder;
  auto sink = CreateImageSink(ImageKind::kPng, Options(folder / "a/b/%03d.png", 7, 5));
  LC_ASSERT_OK(sink);
  EXPECT_EQ((*sink)->wanted_format(), PixelFormat::kBgr24);
  LC_ASSERT_OK((*sink)->WriteFrame(Solid(PixelFormat::kBgr24, 7, 5, {10, 20, 200}).view()));
  Picture soft = Solid(PixelFormat::kBgra32, 7, 5, {200, 100, 50});
  for (int i = 0; i < 35; ++i) soft.data()[4 * i + 3] = static_cast<uint8_t>(i * 7);
  LC_ASSERT_OK((*sink)->WriteFrame(soft.view()));
  auto report = (*sink)->Finish();
  LC_ASSERT_OK(report);
  EXPECT_EQ(report->frames, 2);
  const auto first = DecodeImage(ReadFile(folder / "a/b/000.png"));
  LC_ASSERT_OK(first);
  EXPECT_EQ(first->format(), PixelFormat::kBgr24);
  EXPECT_EQ(first->data()[2], 200);
  const auto second = DecodeImage(ReadFile(folder / "a/b/001.png"));
  LC_ASSERT_OK(second);
  ASSERT_EQ(second->format(), PixelFormat::kBgra32);
  EXPECT_EQ(std::memcmp(second->data(), soft.data(), soft.size_bytes()), 0);
}

TEST(ImageSink, RedStaysRedInJpegFromBgrAndFromI420) {
  TempFolder folder;
  auto sink = CreateImageSink(ImageKind::kJpeg, Options(folder / "%d.jpg", 33, 17));
  LC_ASSERT_OK(sink);
  LC_ASSERT_OK((*sink)->WriteFrame(Solid(PixelFormat::kBgr24, 33, 17, {0, 0, 255}).view()));
  LC_ASSERT_OK((*sink)->WriteFrame(Solid(PixelFormat::kI420, 33, 17, {0, 0, 255}).view()));
  LC_ASSERT_OK((*sink)->Finish());
  for (const char* name : {"0.jpg", "1.jpg"}) {
    const auto picture = DecodeImage(ReadFile(folder / name));
    LC_ASSERT_OK(picture);
    ASSERT_EQ(picture->width(), 33);
    for (int i = 0; i < 33 * 17; ++i) {
      ASSERT_LE(picture->data()[3 * i], 4) << name;
      ASSERT_LE(picture->data()[3 * i + 1], 4) << name;
      ASSERT_GE(picture->data()[3 * i + 2], 250) << name;
    }
  }
}

TEST(ImageSink, AnExistingPictureIsRefusedAndKept) {
  TempFolder folder;
  WriteFile(folder / "1.png", {9});
  auto sink = CreateImageSink(ImageKind::kPng, Options(folder / "%d.png", 2, 2));
  LC_ASSERT_OK(sink);
  const Picture picture = Solid(PixelFormat::kBgr24, 2, 2, {1, 2, 3});
  LC_ASSERT_OK((*sink)->WriteFrame(picture.view()));
  EXPECT_EQ((*sink)->WriteFrame(picture.view()).code(), Code::kAlreadyExists);
  EXPECT_EQ(ReadFile(folder / "1.png"), std::vector<uint8_t>{9});
  EXPECT_EQ(CreateImageSink(ImageKind::kPng, Options(folder / "%d.png", 2, 2)).status().code(),
            Code::kAlreadyExists);
  auto options = Options(folder / "%d.png", 2, 2);
  options.overwrite = true;
  auto again = CreateImageSink(ImageKind::kPng, options);
  LC_ASSERT_OK(again);
  LC_ASSERT_OK((*again)->WriteFrame(picture.view()));
  LC_ASSERT_OK((*again)->WriteFrame(picture.view()));
  EXPECT_GT(ReadFile(folder / "1.png").size(), 1u);
  EXPECT_EQ(folder.Names().size(), 2u);
}

TEST(ImageSink, AFolderThatCannotBeMadeIsRefusedAtOnce) {
  TempFolder folder;
  WriteFile(folder / "plain", {1});
  EXPECT_FALSE(CreateImageSink(ImageKind::kPng, Options(folder / "plain/%d.png", 2, 2)).ok());
}

}  // namespace
}  // namespace lipcast::media
