#include "lipcast/media/png_codec.h"

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using test::Make;

Picture Noise(PixelFormat format, int width, int height) {
  Picture picture = Make(format, width, height);
  uint32_t state = 12345;
  for (size_t i = 0; i < picture.size_bytes(); ++i) {
    state = state * 1664525 + 1013904223;
    picture.data()[i] = static_cast<uint8_t>(state >> 24);
  }
  return picture;
}

TEST(Png, ComesBackToTheByteInEveryFormat) {
  for (const PixelFormat format : {PixelFormat::kBgr24, PixelFormat::kBgra32}) {
    for (const auto& [width, height] :
         std::vector<std::pair<int, int>>{{1, 1}, {7, 5}, {641, 36}, {8192, 2}}) {
      const Picture picture = Noise(format, width, height);
      std::vector<uint8_t> bytes;
      LC_ASSERT_OK(EncodePng(picture.view(), &bytes));
      const auto back = DecodePng(bytes);
      LC_ASSERT_OK(back);
      ASSERT_EQ(back->format(), format);
      ASSERT_EQ(back->size_bytes(), picture.size_bytes());
      EXPECT_EQ(std::memcmp(back->data(), picture.data(), picture.size_bytes()), 0);
    }
  }
  std::vector<uint8_t> bytes;
  const Picture grey = Noise(PixelFormat::kGray8, 9, 4);
  LC_ASSERT_OK(EncodePng(grey.view(), &bytes));
  const auto back = DecodePng(bytes);
  LC_ASSERT_OK(back);
  for (int i = 0; i < 36; ++i) {
    for (int c = 0; c < 3; ++c) ASSERT_EQ(back->data()[3 * i + c], grey.data()[i]);
  }
}

TEST(Png, EveryKindOfFileIsRead) {
  TempFolder folder;
  std::vector<uint8_t> bytes;
  const Picture picture = Noise(PixelFormat::kBgra32, 31, 17);
  LC_ASSERT_OK(EncodePng(picture.view(), &bytes));
  test::WriteFile(folder / "in.png", bytes);
  // The decoders behind ffmpeg write these kinds; its rgba and ours are then compared.
  const struct {
    const char* format;
    PixelFormat wanted;
  } kinds[] = {{"rgb24", PixelFormat::kBgr24},   {"rgba", PixelFormat::kBgra32},
               {"gray", PixelFormat::kBgr24},    {"gray16be", PixelFormat::kBgr24},
               {"rgb48be", PixelFormat::kBgr24}, {"rgba64be", PixelFormat::kBgra32},
               {"ya8", PixelFormat::kBgra32},    {"ya16be", PixelFormat::kBgra32},
               {"pal8", PixelFormat::kBgra32},   {"monob", PixelFormat::kBgr24}};
  for (const auto& kind : kinds) {
    const auto out = folder / (std::string(kind.format) + ".png");
    const std::string filter = std::string(kind.format) == "pal8"
                                   ? "split[a][b];[a]palettegen[p];[b][p]paletteuse"
                                   : "format=" + std::string(kind.format);
    test::Run("ffmpeg -v error -y -i " + test::Quoted(folder / "in.png") + " -filter_complex '" +
              filter + "' " + test::Quoted(out));
    test::Run("ffmpeg -v error -y -i " + test::Quoted(out) + " -f rawvideo -pix_fmt bgra " +
              test::Quoted(folder / "raw"));
    const auto ours = DecodePng(test::ReadFile(out));
    LC_ASSERT_OK(ours);
    ASSERT_EQ(ours->format(), kind.wanted) << kind.format;
    const std::vector<uint8_t> theirs = test::ReadFile(folder / "raw");
    ASSERT_EQ(theirs.size(), 31u * 17 * 4);
    const int step = PlaneWidthBytes(ours->format(), 0, 1);
    for (int i = 0; i < 31 * 17; ++i) {
      if (theirs[4 * i + 3] == 0) continue;  // unseen pixels are anyone's
      for (int c = 0; c < step; ++c) {
        ASSERT_NEAR(ours->data()[step * i + c], theirs[4 * i + c], 1) << kind.format;
      }
    }
  }
}

TEST(Png, EveryCutAndEveryDamagedByteIsHeldBack) {
  std::vector<uint8_t> bytes;
  LC_ASSERT_OK(EncodePng(Noise(PixelFormat::kBgr24, 13, 11).view(), &bytes));
  for (size_t keep = 0; keep < bytes.size(); keep += 3) {
    ASSERT_FALSE(DecodePng({bytes.data(), keep}).ok()) << keep;
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::vector<uint8_t> damaged = bytes;
    damaged[i] ^= 0x11;
    const Status status = test::StatusOf(DecodePng(damaged));
    ASSERT_FALSE(status.ok()) << i;  // each chunk has a checksum
    ASSERT_GT(status.message().size(), 5u);
  }
}

TEST(Png, ASizeOverTheLimitIsRefusedBeforeItIsAllocated) {
  TempFolder folder;
  test::Run("ffmpeg -v error -f lavfi -i color=red:s=8194x2 -frames:v 1 " +
            test::Quoted(folder / "wide.png"));
  const Status status = DecodePng(test::ReadFile(folder / "wide.png")).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.message(), "PNG: 8194x2: want sides up to 8192");
}

TEST(Png, AWrongRequestIsRefused) {
  std::vector<uint8_t> bytes;
  EXPECT_FALSE(EncodePng(Make(PixelFormat::kI420, 4, 4).view(), &bytes).ok());
  const PictureView wide{PixelFormat::kBgr24, 8193, 2, {}, {}};
  EXPECT_EQ(EncodePng(wide, &bytes).message(), "PNG: 8193x2: want sides of 1..8192");
}

}  // namespace
}  // namespace lipcast::media
