#include "lipcast/media/frame_converter.h"

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

/// A planar frame of one colour.
FramePtr Flat(AVPixelFormat format, int luma, int chroma, int width = 16, int height = 8) {
  FramePtr frame(av_frame_alloc());
  frame->format = format;
  frame->width = width;
  frame->height = height;
  EXPECT_EQ(av_frame_get_buffer(frame.get(), 0), 0);
  const int shift = av_pix_fmt_desc_get(format)->log2_chroma_h;
  for (int p = 0; p < 3; ++p) {
    const int rows = p == 0 ? height : AV_CEIL_RSHIFT(height, shift);
    std::memset(frame->data[p], p == 0 ? luma : chroma,
                static_cast<size_t>(rows) * static_cast<size_t>(frame->linesize[p]));
  }
  return frame;
}

TEST(FrameConverter, EveryFullRangeFormatFitsTheLimitedRange) {
  for (const auto& [from, luma] : {std::pair{255, 235}, {0, 16}}) {
    for (const AVPixelFormat format :
         {AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUVJ440P,
          AV_PIX_FMT_YUVJ411P}) {
      const FramePtr frame = Flat(format, from, 128);
      auto converter = FrameConverter::Create(*frame, {});
      LC_ASSERT_OK(converter);
      const auto picture = converter->Convert(*frame);
      LC_ASSERT_OK(picture);
      ASSERT_EQ(picture->format(), PixelFormat::kI420);
      EXPECT_NEAR(picture->view().plane[0][0], luma, 1) << av_get_pix_fmt_name(format);
      EXPECT_NEAR(picture->view().plane[1][0], 128, 1) << av_get_pix_fmt_name(format);
    }
  }
}

TEST(FrameConverter, LimitedBt709IsCopiedAsItIs) {
  const FramePtr frame =
      Flat(AV_PIX_FMT_YUV420P, 250, 250);  // above white: a conversion would cut it
  frame->colorspace = AVCOL_SPC_BT709;
  auto converter = FrameConverter::Create(*frame, {});
  LC_ASSERT_OK(converter);
  EXPECT_EQ(converter->note(), "");
  const auto picture = converter->Convert(*frame);
  LC_ASSERT_OK(picture);
  EXPECT_EQ(picture->view().plane[0][0], 250);
  EXPECT_EQ(picture->view().plane[2][0], 250);
}

TEST(FrameConverter, ASizeOrAFormatThatChangesOnTheWayIsRefusedWithBothSizes) {
  auto converter = FrameConverter::Create(*Flat(AV_PIX_FMT_YUV420P, 100, 128), {});
  LC_ASSERT_OK(converter);
  const Status size = converter->Convert(*Flat(AV_PIX_FMT_YUV420P, 100, 128, 32, 8)).status();
  EXPECT_EQ(size, Status(Code::kUnimplemented,
                         "the video changes from 16x8 to 32x8, or its pixel format, on the way"));
  EXPECT_EQ(converter->Convert(*Flat(AV_PIX_FMT_YUV444P, 100, 128)).status().code(),
            Code::kUnimplemented);
}

TEST(FrameConverter, RefusesWhatNoPictureCanHold) {
  const FramePtr frame = Flat(AV_PIX_FMT_YUV420P, 100, 128);
  for (const auto& [width, height] : {std::pair{8193, 8}, {16, 8193}, {0, 8}, {16, -1}}) {
    frame->width = width;
    frame->height = height;
    const Status status = FrameConverter::Create(*frame, {}).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_NE(status.message().find("want sides of 1..8192"), std::string::npos);
  }
  frame->width = 16;
  frame->height = 8;
  for (const AVPixelFormat format : {AV_PIX_FMT_VAAPI, AV_PIX_FMT_NONE}) {  // on a GPU; nothing
    frame->format = format;
    EXPECT_EQ(FrameConverter::Create(*frame, {}).status().code(), Code::kUnimplemented);
  }
}

TEST(LibavStatus, GivesTheCodeThatSaysWhoseFaultItIs) {
  InitLibav();
  ClearLibavLog();
  const std::pair<int, Code> cases[] = {
      {AVERROR(ENOSPC), Code::kResourceExhausted},
      {AVERROR(ENOMEM), Code::kResourceExhausted},
      {AVERROR(ENOENT), Code::kNotFound},
      {AVERROR(EACCES), Code::kPermissionDenied},
      {AVERROR(EINVAL), Code::kInvalidArgument},
      {AVERROR_INVALIDDATA, Code::kDataLoss},
      {AVERROR(EIO), Code::kDataLoss},
      {AVERROR_DECODER_NOT_FOUND, Code::kUnimplemented},
      {AVERROR_BUG, Code::kUnknown},
  };
  for (const auto& [error, code] : cases) {
    const Status status = LibavStatus(error, "'x.mp4'");
    EXPECT_EQ(status.code(), code) << status.message();
    EXPECT_EQ(status.message().rfind("'x.mp4': ", 0), 0u) << status.message();
  }
}

TEST(LibavStatus, CarriesTheFirstErrorOfTheLogInOneLine) {
  InitLibav();
  ClearLibavLog();
  av_log(nullptr, AV_LOG_WARNING, "only a warning\n");
  av_log(nullptr, AV_LOG_ERROR, "moov atom\nnot found\n");
  av_log(nullptr, AV_LOG_ERROR, "a consequence\n");
  const Status status = LibavStatus(AVERROR_INVALIDDATA, "'x.mp4'");
  EXPECT_NE(status.message().find("(moov atom not found)"), std::string::npos) << status.message();
  ClearLibavLog();
  EXPECT_EQ(FirstLibavError(), "");
}

}  // namespace
}  // namespace lipcast::media
