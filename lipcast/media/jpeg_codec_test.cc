#include "lipcast/media/jpeg_codec.h"

#include <array>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>

#include "lipcast/media/image_codec.h"
#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using test::Bgr;
using test::Make;
using test::Solid;

constexpr int kMinSpanPx = 40;

/// Smooth at every size: 4:2:0 averages colour over 2x2 pixels, so in a small picture a gradient
/// over the whole range would come back changed by the format, not by the codec.
Picture Gradient(int width, int height) {
  Picture picture = Make(PixelFormat::kBgr24, width, height);
  const int columns = std::max(width, kMinSpanPx), rows = std::max(height, kMinSpanPx);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* pixel = picture.data() + 3 * (y * width + x);
      pixel[0] = static_cast<uint8_t>(60 + 100 * x / columns);
      pixel[1] = static_cast<uint8_t>(80 + 100 * y / rows);
      pixel[2] = static_cast<uint8_t>(200 - 50 * x / columns);
    }
  }
  return picture;
}

int MaxDifference(const Picture& a, const Picture& b) {
  int worst = 0;
  for (size_t i = 0; i < a.size_bytes(); ++i) {
    worst = std::max(worst, std::abs(a.data()[i] - b.data()[i]));
  }
  return worst;
}

TEST(Jpeg, ComesBackWithinAFewLevelsAtEverySize) {
  for (const auto& [width, height] : std::vector<std::pair<int, int>>{
           {1, 1}, {2, 3}, {15, 16}, {17, 33}, {641, 361}, {8192, 1}, {1, 300}}) {
    const Picture picture = Gradient(width, height);
    std::vector<uint8_t> bytes;
    LC_ASSERT_OK(EncodeJpeg(picture.view(), 95, 0, &bytes));
    const auto back = DecodeJpeg(bytes);
    LC_ASSERT_OK(back);
    ASSERT_EQ(back->width(), width);
    ASSERT_EQ(back->height(), height);
    EXPECT_LE(MaxDifference(picture, *back), 8) << width << "x" << height;
  }
}

TEST(Jpeg, I420IsConvertedFromLimitedBt709ToFullBt601) {
  for (const Bgr color : {Bgr{0, 0, 255}, Bgr{0, 255, 0}, Bgr{255, 0, 0}, Bgr{255, 255, 255},
                          Bgr{0, 0, 0}, Bgr{120, 160, 210}}) {
    for (const auto& [width, height] :
         std::vector<std::pair<int, int>>{{64, 48}, {33, 17}, {1, 1}}) {
      std::vector<uint8_t> bytes;
      LC_ASSERT_OK(
          EncodeJpeg(Solid(PixelFormat::kI420, width, height, color).view(), 98, 0, &bytes));
      const auto back = DecodeJpeg(bytes);
      LC_ASSERT_OK(back);
      ASSERT_EQ(back->width(), width);
      for (int i = 0; i < width * height; ++i) {
        ASSERT_NEAR(back->data()[3 * i], color.b, 4);
        ASSERT_NEAR(back->data()[3 * i + 1], color.g, 4);
        ASSERT_NEAR(back->data()[3 * i + 2], color.r, 4);
      }
    }
  }
}

TEST(Jpeg, RestartMarkersStandWhereTheyWereAskedFor) {
  const Picture picture = Gradient(160, 32);  // 10 x 2 MCUs
  std::vector<uint8_t> bytes;
  LC_ASSERT_OK(EncodeJpeg(picture.view(), 90, 5, &bytes));
  int markers = 0;
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    if (bytes[i] == 0xff && bytes[i + 1] >= 0xd0 && bytes[i + 1] <= 0xd7) {
      EXPECT_EQ(bytes[i + 1], 0xd0 + markers % 8);
      ++markers;
    }
  }
  EXPECT_EQ(markers, 3);
  std::vector<uint8_t> plain;
  LC_ASSERT_OK(EncodeJpeg(picture.view(), 90, 0, &plain));
  const auto a = DecodeJpeg(bytes), b = DecodeJpeg(plain);
  LC_ASSERT_OK(a);
  LC_ASSERT_OK(b);
  EXPECT_EQ(MaxDifference(*a, *b), 0);
}

TEST(Jpeg, EveryCutIsAnErrorAndNeverGreyPixels) {
  std::vector<uint8_t> bytes;
  LC_ASSERT_OK(EncodeJpeg(Gradient(64, 64).view(), 90, 0, &bytes));
  for (size_t keep = 0; keep + 2 < bytes.size(); keep += 7) {
    const Status status = DecodeJpeg({bytes.data(), keep}).status();
    ASSERT_TRUE(status.code() == Code::kDataLoss || status.code() == Code::kInvalidArgument)
        << keep << ": " << status.ToString();
    ASSERT_FALSE(status.message().empty());
  }
}

TEST(Jpeg, AnyDamagedByteGivesAPictureOrAnError) {
  std::vector<uint8_t> bytes;
  LC_ASSERT_OK(EncodeJpeg(Gradient(40, 24).view(), 80, 0, &bytes));
  int refused = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::vector<uint8_t> damaged = bytes;
    damaged[i] ^= 0x5a;
    refused += DecodeJpeg(damaged).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 20);
}

TEST(Jpeg, ASizeOverTheLimitIsRefused) {
  std::vector<uint8_t> bytes;
  LC_ASSERT_OK(EncodeJpeg(Gradient(16, 16).view(), 80, 0, &bytes));
  for (size_t i = 0; i + 8 < bytes.size(); ++i) {
    if (bytes[i] == 0xff && bytes[i + 1] == 0xc0) {
      bytes[i + 5] = 0xff;  // the height becomes 0xff10
      break;
    }
  }
  const Status status = DecodeJpeg(bytes).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("16x65296: want sides up to 8192"), std::string::npos)
      << status.message();
}

TEST(Jpeg, AnExifOrientationStandsThePictureUp) {
  const Picture picture = Gradient(32, 16);
  std::vector<uint8_t> bytes;
  LC_ASSERT_OK(EncodeJpeg(picture.view(), 95, 0, &bytes));
  const auto stored = DecodeJpeg(bytes);
  LC_ASSERT_OK(stored);
  const std::vector<uint8_t> exif = {0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0,    0,    'M', 'M',
                                     0,    42,   0, 0,  0,   8,   0,   1,   0x01, 0x12, 0,   3,
                                     0,    0,    0, 1,  0,   6,   0,   0,   0,    0,    0,   0};
  std::vector<uint8_t> turned = bytes;
  turned.insert(turned.begin() + 2, exif.begin(), exif.end());
  const auto upright = DecodeJpeg(turned);
  LC_ASSERT_OK(upright);
  ASSERT_EQ(upright->width(), 16);
  ASSERT_EQ(upright->height(), 32);
  // A quarter turn clockwise: the stored top left is now top right.
  EXPECT_EQ(std::memcmp(upright->data() + 3 * 15, stored->data(), 3), 0);
  turned.resize(2 + 4 + 20);  // cut inside the block
  EXPECT_FALSE(DecodeJpeg(turned).ok());
}

TEST(Jpeg, AGreyFileBecomesBgr) {
  TempFolder folder;
  std::vector<uint8_t> bytes;
  Picture grey = Make(PixelFormat::kGray8, 20, 10);
  std::memset(grey.data(), 77, grey.size_bytes());
  LC_ASSERT_OK(EncodeJpeg(grey.view(), 95, 0, &bytes));
  const auto back = DecodeJpeg(bytes);
  LC_ASSERT_OK(back);
  EXPECT_EQ(back->format(), PixelFormat::kBgr24);
  EXPECT_NEAR(back->data()[0], 77, 1);
  EXPECT_NEAR(back->data()[2], 77, 1);
}

/// One colour of inks, as a printer's program writes it: inverted where Adobe's marker stands.
std::vector<uint8_t> CmykJpeg(std::array<uint8_t, 4> inks, bool adobe) {
  jpeg_compress_struct info = {};
  jpeg_error_mgr errors = {};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  uint8_t* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = info.image_height = 16;
  info.input_components = 4;
  info.in_color_space = JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  info.write_Adobe_marker = adobe ? TRUE : FALSE;
  jpeg_start_compress(&info, TRUE);
  std::vector<uint8_t> row;
  for (int x = 0; x < 16; ++x) {
    for (const uint8_t ink : inks) row.push_back(static_cast<uint8_t>(adobe ? 255 - ink : ink));
  }
  uint8_t* rows = row.data();
  while (info.next_scanline < info.image_height) jpeg_write_scanlines(&info, &rows, 1);
  jpeg_finish_compress(&info);
  std::vector<uint8_t> bytes(buffer, buffer + size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  return bytes;
}

TEST(Jpeg, InksBecomeBgrWithAdobesMarkerAndWithout) {
  for (const bool adobe : {true, false}) {
    // Full cyan, half magenta, no yellow, a fifth black: b, g, r = 255, 127, 0 of 204 / 255.
    const auto picture = DecodeJpeg(CmykJpeg({255, 128, 0, 51}, adobe));
    LC_ASSERT_OK(picture);
    ASSERT_EQ(picture->format(), PixelFormat::kBgr24);
    EXPECT_NEAR(picture->data()[0], 204, 2) << adobe;
    EXPECT_NEAR(picture->data()[1], 102, 2) << adobe;
    EXPECT_NEAR(picture->data()[2], 0, 2) << adobe;
  }
}

TEST(Jpeg, AWrongRequestIsRefusedWithItsValue) {
  std::vector<uint8_t> bytes;
  const Picture picture = Gradient(4, 4);
  EXPECT_EQ(EncodeJpeg(picture.view(), 0, 0, &bytes).message(), "JPEG quality 0: want 1..100");
  EXPECT_FALSE(EncodeJpeg(picture.view(), 90, 65536, &bytes).ok());
  EXPECT_FALSE(EncodeJpeg(Make(PixelFormat::kBgra32, 2, 2).view(), 90, 0, &bytes).ok());
  const PictureView empty{PixelFormat::kBgr24, 2, 0, {}, {}};
  EXPECT_EQ(EncodeJpeg(empty, 90, 0, &bytes).message(), "JPEG: 2x0: want sides of 1..8192");
}

TEST(DecodeImage, TellsWhatTheFirstBytesAre) {
  EXPECT_EQ(DecodeImage({}).status().message(), "image is empty: want a JPEG or a PNG");
  const std::vector<uint8_t> gif = {'G', 'I', 'F', '8', '9'};
  EXPECT_EQ(DecodeImage(gif).status().message(),
            "image begins with bytes 47 49 46 38: want a JPEG or a PNG");
}

}  // namespace
}  // namespace lipcast::media
