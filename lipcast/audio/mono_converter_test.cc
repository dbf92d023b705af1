#include "lipcast/audio/mono_converter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "lipcast/audio/test_signals.h"

namespace lipcast::audio {
namespace {

std::vector<float> Convert(const AudioFormat& format, std::string_view bytes) {
  auto converter = MonoConverter::Create(format);
  EXPECT_TRUE(converter.ok()) << converter.status().message();
  std::vector<float> mono;
  converter->Push(AsBytes(bytes), &mono);
  EXPECT_TRUE(converter->Finish().ok());
  return mono;
}

TEST(MonoConverter, EachSampleTypeHasItsFullRange) {
  const auto one = [](SampleType type, std::string_view bytes) {
    return Convert({16'000, 1, type}, bytes);
  };
  EXPECT_EQ(one(SampleType::kU8, std::string("\x00\x40\x80\xC0", 4)),
            (std::vector<float>{-1, -0.5f, 0, 0.5f}));
  EXPECT_EQ(one(SampleType::kS16, Little<int16_t>(-32768) + Little<int16_t>(16384)),
            (std::vector<float>{-1, 0.5f}));
  EXPECT_EQ(one(SampleType::kS24, std::string("\x00\x00\x80\x00\x00\x40\xFF\xFF\xFF", 9)),
            (std::vector<float>{-1, 0.5f, -1.0f / 8388608}));
  EXPECT_EQ(one(SampleType::kS32, Little<int32_t>(INT32_MIN) + Little<int32_t>(1 << 30)),
            (std::vector<float>{-1, 0.5f}));
  EXPECT_EQ(one(SampleType::kF32, Little(0.25f) + Little(-1.5f)),
            (std::vector<float>{0.25f, -1.5f}));
  EXPECT_EQ(one(SampleType::kF64, Little(0.25) + Little(-1.5)), (std::vector<float>{0.25f, -1.5f}));
}

// Values of the tables of ITU-T G.711, scaled to 16 bits.
TEST(MonoConverter, G711HasTheValuesOfTheStandard) {
  const auto ints = [](SampleType type, std::string_view bytes) {
    std::vector<int> values;
    for (const float v : Convert({8'000, 1, type}, bytes)) {
      values.push_back(static_cast<int>(v * 32768));
    }
    return values;
  };
  EXPECT_EQ(ints(SampleType::kMulaw, std::string("\x00\x80\xFF\x7F\xEF\x8F", 6)),
            (std::vector<int>{-32124, 32124, 0, 0, 132, 16764}));
  EXPECT_EQ(ints(SampleType::kAlaw, std::string("\x2A\xAA\xD5\x55\xC5\x80", 6)),
            (std::vector<int>{-32256, 32256, 8, -8, 264, 5504}));
}

TEST(MonoConverter, TheMeanOfAllChannelsIsTaken) {
  const std::string two = Little<int16_t>(16384) + Little<int16_t>(0) + Little<int16_t>(-8192) +
                          Little<int16_t>(-24576);
  EXPECT_EQ(Convert({16'000, 2, SampleType::kS16}, two), (std::vector<float>{0.25f, -0.5f}));
  std::string six;
  for (int c = 0; c < 6; ++c) six += Little(static_cast<float>(c) / 10);
  EXPECT_NEAR(Convert({48'000, 6, SampleType::kF32}, six).at(0), 0.25f, 1e-7f);
}

TEST(MonoConverter, SpeechInTheRightChannelOnlyIsHeard) {
  std::string bytes;
  for (const float sample : Noise(1'000, 0.5f)) bytes += Little(0.0f) + Little(sample);
  auto converter = MonoConverter::Create({16'000, 2, SampleType::kF32});
  std::vector<float> mono;
  converter->Push(AsBytes(bytes), &mono);
  const std::vector<float> noise = Noise(1'000, 0.5f);
  for (size_t i = 0; i < mono.size(); ++i) ASSERT_EQ(mono[i], noise[i] / 2);
  EXPECT_FALSE(converter->opposite_phase());
}

TEST(MonoConverter, ChannelsThatCancelOutAreNoticed) {
  for (const float offset : {0.0f, 1e-5f}) {
    std::string bytes;
    for (const float sample : Noise(1'000, 0.5f)) bytes += Little(sample) + Little(offset - sample);
    auto converter = MonoConverter::Create({16'000, 2, SampleType::kF32});
    std::vector<float> mono;
    EXPECT_FALSE(converter->opposite_phase());
    converter->Push(AsBytes(bytes), &mono);
    EXPECT_TRUE(converter->opposite_phase());
  }
}

TEST(MonoConverter, SilenceAndOrdinaryStereoAreNotCalledOpposite) {
  std::string quiet, stereo;
  const std::vector<float> left = Noise(1'000, 0.5f, 1), right = Noise(1'000, 0.5f, 2);
  for (size_t i = 0; i < 1'000; ++i) {
    quiet += Little(1e-5f * left[i]) + Little(-1e-5f * left[i]);
    stereo += Little(left[i]) + Little(right[i]);
  }
  for (const std::string& bytes : {quiet, stereo}) {
    auto converter = MonoConverter::Create({16'000, 2, SampleType::kF32});
    std::vector<float> mono;
    converter->Push(AsBytes(bytes), &mono);
    EXPECT_FALSE(converter->opposite_phase());
  }
}

TEST(MonoConverter, PiecesOfAnySizeGiveTheSameBits) {
  std::string bytes;
  for (const float sample : Noise(6'000, 1.0f)) {
    bytes += Little(static_cast<int32_t>(sample * 2e9f)).substr(1);
  }
  for (const int channels : {1, 2, 3, 8}) {
    const AudioFormat format{44'100, channels, SampleType::kS24};
    const auto usable = bytes.size() / format.frame_bytes() * format.frame_bytes();
    const std::string_view all = std::string_view(bytes).substr(0, usable);
    const std::vector<float> whole = Convert(format, all);
    ASSERT_EQ(whole.size(), 6'000u / channels);
    for (const size_t piece : {1, 2, 5, 7, 37, 4'093}) {
      auto converter = MonoConverter::Create(format);
      std::vector<float> mono;
      for (size_t at = 0; at < all.size(); at += piece) {
        converter->Push(AsBytes(all.substr(at, piece)), &mono);
      }
      EXPECT_TRUE(converter->Finish().ok());
      EXPECT_EQ(mono, whole) << channels << " channels, pieces of " << piece;
    }
  }
}

TEST(MonoConverter, AnIncompleteLastFrameIsDroppedAndSaid) {
  for (const size_t extra : {1, 2, 3}) {
    auto converter = MonoConverter::Create({16'000, 2, SampleType::kS16});
    std::vector<float> mono;
    converter->Push(AsBytes(std::string(4'000 + extra, '\x11')), &mono);
    EXPECT_EQ(mono.size(), 1'000u);
    const Status end = converter->Finish();
    EXPECT_EQ(end.code(), Code::kDataLoss);
    EXPECT_EQ(end.message(), "audio byte 4000: the last " + std::to_string(extra) +
                                 " of 4 bytes of a frame; dropped");
    EXPECT_TRUE(converter->Finish().ok());
  }
}

TEST(MonoConverter, OneToThreeBytesOfAudioAreNoFrameAndNoCrash) {
  for (const size_t bytes : {0, 1, 2, 3}) {
    auto converter = MonoConverter::Create({16'000, 1, SampleType::kF32});
    std::vector<float> mono;
    converter->Push(AsBytes(std::string(bytes, 'x')), &mono);
    EXPECT_TRUE(mono.empty());
    EXPECT_EQ(converter->Finish().ok(), bytes == 0);
  }
}

TEST(MonoConverter, NotANumberAndInfinityBecomeSilenceAndAreCounted) {
  auto converter = MonoConverter::Create({16'000, 1, SampleType::kF32});
  std::vector<float> mono;
  converter->Push(AsBytes(Little(std::numeric_limits<float>::quiet_NaN()) + Little(0.5f) +
                          Little(-std::numeric_limits<float>::infinity())),
                  &mono);
  EXPECT_EQ(mono, (std::vector<float>{0, 0.5f, 0}));
  EXPECT_EQ(converter->non_finite_samples(), 2);
}

TEST(MonoConverter, RefusesAFormatOutsideTheLimits) {
  EXPECT_FALSE(MonoConverter::Create({16'000, 0, SampleType::kS16}).ok());
  EXPECT_FALSE(MonoConverter::Create({4'000, 1, SampleType::kS16}).ok());
}

}  // namespace
}  // namespace lipcast::audio
