#include "lipcast/media/h264_encoder.h"

#include <algorithm>
#include <cmath>

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

using test::Numbered;
using test::ReadNumber;
using Bytes = std::vector<uint8_t>;

constexpr int kWidth = 320, kHeight = 192;

H264Options Options(H264Form form = H264Form::kAnnexB) {
  H264Options options;
  options.width = kWidth;
  options.height = kHeight;
  options.form = form;
  return options;
}

std::unique_ptr<H264Encoder> Open(const H264Options& options) {
  auto encoder = H264Encoder::Create(options);
  EXPECT_TRUE(encoder.ok()) << encoder.status().ToString();
  return encoder.ok() ? *std::move(encoder) : nullptr;
}

std::vector<AccessUnit> EncodeNumbered(H264Encoder& encoder, int frames, int key_at = -1) {
  std::vector<AccessUnit> units;
  for (int i = 0; i < frames; ++i) {
    auto unit = encoder.Encode(Numbered(kWidth, kHeight, i).view(), i == key_at);
    EXPECT_TRUE(unit.ok()) << unit.status().ToString();
    units.push_back(*std::move(unit));
  }
  return units;
}

Bytes Joined(const std::vector<AccessUnit>& units, size_t from = 0) {
  Bytes all;
  for (size_t i = from; i < units.size(); ++i) {
    all.insert(all.end(), units[i].bytes.begin(), units[i].bytes.end());
  }
  return all;
}

/// What ffmpeg makes of an Annex B stream.
std::vector<Picture> Decode(const Bytes& stream, int width = kWidth, int height = kHeight) {
  const TempFolder folder;
  test::WriteFile(folder / "in.h264", stream);
  test::Run("ffmpeg -v error -f h264 -i " + test::Quoted(folder / "in.h264") +
            " -fps_mode passthrough -pix_fmt yuv420p -f rawvideo " +
            test::Quoted(folder / "out.yuv"));
  const Bytes raw = test::ReadFile(folder / "out.yuv");
  const size_t size = PictureBytes(PixelFormat::kI420, width, height);
  EXPECT_EQ(raw.size() % size, 0U);
  std::vector<Picture> pictures;
  for (size_t at = 0; at + size <= raw.size(); at += size) {
    pictures.push_back(test::Make(PixelFormat::kI420, width, height));
    std::copy_n(raw.begin() + static_cast<ptrdiff_t>(at), size, pictures.back().data());
  }
  return pictures;
}

double LumaPsnr(const PictureView& a, const PictureView& b) {
  double sum = 0;
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      const double d = a.plane[0][y * a.stride[0] + x] - b.plane[0][y * b.stride[0] + x];
      sum += d * d;
    }
  }
  return 10 * std::log10(255.0 * 255.0 * a.width * a.height / std::max(sum, 1e-9));
}

uint32_t Number(const Bytes& bytes, size_t at, int size) {
  uint32_t value = 0;
  for (int i = 0; i < size; ++i) value = value << 8 | bytes.at(at + static_cast<size_t>(i));
  return value;
}

/// The other form, made from what ISO/IEC 14496-15 says of the record and the lengths.
Bytes AnnexBOf(std::span<const uint8_t> config, const std::vector<AccessUnit>& units) {
  Bytes out;
  const auto nal = [&](const Bytes& from, size_t at, size_t size) {
    out.insert(out.end(), {0, 0, 0, 1});
    out.insert(out.end(), from.begin() + static_cast<ptrdiff_t>(at),
               from.begin() + static_cast<ptrdiff_t>(at + size));
  };
  const Bytes record(config.begin(), config.end());
  EXPECT_EQ(record.at(0), 1);
  EXPECT_EQ(record.at(4) & 3, 3) << "lengths of 4 bytes";
  EXPECT_EQ(record.at(5) & 31, 1) << "one SPS";
  const size_t sps = Number(record, 6, 2);
  EXPECT_EQ(Number(record, 8, 1) & 31, 7U);
  EXPECT_EQ(Bytes(record.begin() + 1, record.begin() + 4),
            Bytes(record.begin() + 9, record.begin() + 12));
  nal(record, 8, sps);
  EXPECT_EQ(record.at(8 + sps), 1) << "one PPS";
  const size_t pps = Number(record, 9 + sps, 2);
  EXPECT_EQ(Number(record, 11 + sps, 1) & 31, 8U);
  nal(record, 11 + sps, pps);
  const bool high = record.at(1) >= 100;
  EXPECT_EQ(record.size(), 11 + sps + pps + (high ? 4 : 0));
  for (const AccessUnit& unit : units) {
    size_t at = 0;
    while (at < unit.bytes.size()) {
      const size_t size = Number(unit.bytes, at, 4);
      const uint32_t type = Number(unit.bytes, at + 4, 1) & 31;
      EXPECT_TRUE(type != 7 && type != 8) << "a parameter set in band";
      nal(unit.bytes, at + 4, size);
      at += 4 + size;
    }
    EXPECT_EQ(at, unit.bytes.size());
  }
  return out;
}

TEST(H264Encoder, GivesForEachPictureAtOnceAnAccessUnitThatDecodesToIt) {
  for (const H264Form form : {H264Form::kAnnexB, H264Form::kAvcc}) {
    const auto encoder = Open(Options(form));
    const auto units = EncodeNumbered(*encoder, 60);
    const auto pictures = Decode(
        form == H264Form::kAnnexB ? Joined(units) : AnnexBOf(encoder->codec_config(), units));
    ASSERT_EQ(pictures.size(), 60U);
    for (int i = 0; i < 60; ++i) {
      const auto& found = pictures[static_cast<size_t>(i)];
      EXPECT_EQ(ReadNumber(found.view()), i);
      EXPECT_GT(LumaPsnr(found.view(), Numbered(kWidth, kHeight, i).view()), 36) << i;
    }
  }
}

TEST(H264Encoder, HasAKeyFrameFirstAndEveryTwoSecondsAndEachDecodesAlone) {
  const auto encoder = Open(Options());
  const auto units = EncodeNumbered(*encoder, 120);
  std::vector<size_t> keys;
  for (size_t i = 0; i < units.size(); ++i) {
    if (units[i].key_frame) keys.push_back(i);
  }
  ASSERT_EQ(keys, (std::vector<size_t>{0, 50, 100}));
  for (const size_t key : keys) {
    const auto pictures = Decode(Joined(units, key));
    ASSERT_EQ(pictures.size(), units.size() - key);
    EXPECT_EQ(ReadNumber(pictures[0].view()), static_cast<int>(key));
    EXPECT_GT(LumaPsnr(pictures[0].view(), Numbered(kWidth, kHeight, static_cast<int>(key)).view()),
              36);
  }
}

TEST(H264Encoder, MakesAKeyFrameOnDemandThatDecodesAlone) {
  const auto encoder = Open(Options());
  const auto units = EncodeNumbered(*encoder, 20, 13);
  for (size_t i = 0; i < units.size(); ++i) EXPECT_EQ(units[i].key_frame, i == 0 || i == 13) << i;
  const auto pictures = Decode(Joined(units, 13));
  ASSERT_EQ(pictures.size(), 7U);
  for (int i = 0; i < 7; ++i)
    EXPECT_EQ(ReadNumber(pictures[static_cast<size_t>(i)].view()), 13 + i);
}

TEST(H264Encoder, TheAvccRecordHoldsTheParameterSetsOfTheOtherForm) {
  const auto annex_b = Open(Options());
  const auto avcc = Open(Options(H264Form::kAvcc));
  EXPECT_TRUE(std::ranges::equal(annex_b->codec_config(), avcc->codec_config()));
  const Bytes sets = AnnexBOf(avcc->codec_config(), {});
  const auto first = EncodeNumbered(*annex_b, 1);
  ASSERT_GT(first[0].bytes.size(), sets.size());
  EXPECT_TRUE(std::equal(sets.begin(), sets.end(), first[0].bytes.begin()));
}

TEST(H264Encoder, KeepsItsBitrateOverEachSecondOfPicturesThatAreHardToCode) {
  for (const int kbps : {300, 1500}) {
    H264Options options = Options();
    options.bitrate_kbps = kbps;
    const auto encoder = Open(options);
    std::vector<double> kbits;
    uint32_t noise = 1;
    for (int i = 0; i < 250; ++i) {
      Picture picture = Numbered(kWidth, kHeight, i);
      for (int at = kWidth * 20; at < kWidth * kHeight; ++at) {
        noise = noise * 1664525u + 1013904223u;
        picture.data()[at] = static_cast<uint8_t>(picture.data()[at] + (noise >> 28));
      }
      const auto unit = encoder->Encode(picture.view(), false);
      ASSERT_TRUE(unit.ok());
      kbits.push_back(static_cast<double>(unit->bytes.size()) * 8 / 1000);
    }
    double all = 0;
    for (size_t i = 0; i < kbits.size(); ++i) {
      all += kbits[i];
      double window = 0;
      for (size_t k = i; k < std::min(i + 25, kbits.size()); ++k) window += kbits[k];
      EXPECT_LT(window, 2.05 * kbps) << "the second from frame " << i;
    }
    EXPECT_NEAR(all / 10, kbps, 0.15 * kbps);
  }
}

TEST(H264Encoder, PadsOddSidesAndSaysSo) {
  H264Options options = Options();
  options.width = 161;
  options.height = 33;
  const auto encoder = Open(options);
  EXPECT_EQ(encoder->width(), 162);
  EXPECT_EQ(encoder->height(), 34);
  ASSERT_TRUE(encoder->padding());
  EXPECT_EQ(encoder->padding()->substr(0, 23), "161x33 padded to 162x34");
  EXPECT_FALSE(Open(Options())->padding());
  const auto unit = encoder->Encode(Numbered(161, 33, 9).view(), false);
  ASSERT_TRUE(unit.ok());
  const auto pictures = Decode(unit->bytes, 162, 34);
  ASSERT_EQ(pictures.size(), 1U);
  EXPECT_EQ(ReadNumber(pictures[0].view()), 9);
}

TEST(H264Encoder, TagsItsColourAndItsSize) {
  const TempFolder folder;
  const auto encoder = Open(Options());
  test::WriteFile(folder / "x.h264", Joined(EncodeNumbered(*encoder, 3)));
  EXPECT_EQ(test::Probe(folder / "x.h264", "v:0",
                        "stream=width,height,has_b_frames,pix_fmt,color_range,color_space,"
                        "color_transfer,color_primaries"),
            "320,192,0,yuv420p,tv,bt709,bt709,bt709");
}

TEST(H264Encoder, RefusesWhatItCannotDo) {
  const auto refusal = [](auto change) {
    H264Options options = Options();
    change(options);
    return H264Encoder::Create(options).status().ToString();
  };
  EXPECT_EQ(refusal([](H264Options& o) { o.bitrate_kbps = 49; }),
            "INVALID_ARGUMENT: bitrate_kbps = 49: want 0 or 50..100000");
  EXPECT_EQ(refusal([](H264Options& o) { o.bitrate_kbps = -1; }),
            "INVALID_ARGUMENT: bitrate_kbps = -1: want 0 or 50..100000");
  EXPECT_EQ(refusal([](H264Options& o) { o.width = 0; }),
            "INVALID_ARGUMENT: width = 0: want 1..8192");
  EXPECT_EQ(refusal([](H264Options& o) {
              o.fps = {121, 1};
            }),
            "INVALID_ARGUMENT: fps = 121: want 1..120");
  EXPECT_NE(refusal([](H264Options& o) { o.encoder = "none"; }).find("does not have it"),
            std::string::npos);
  const auto encoder = Open(Options());
  EXPECT_EQ(encoder->Encode(Numbered(kWidth, 34, 1).view(), false).status().ToString(),
            "INVALID_ARGUMENT: picture 0 is i420 320x34: want i420 320x192");
}

}  // namespace
}  // namespace lipcast::media
