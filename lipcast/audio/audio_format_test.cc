#include "lipcast/audio/audio_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lipcast::audio {
namespace {

TEST(AudioFormat, NamesOfSampleTypesReadBackAsThemselves) {
  for (const SampleType type :
       {SampleType::kU8, SampleType::kS16, SampleType::kS24, SampleType::kS32, SampleType::kF32,
        SampleType::kF64, SampleType::kMulaw, SampleType::kAlaw}) {
    const auto parsed = ParseSampleType(SampleTypeName(type));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, type);
  }
}

TEST(AudioFormat, AnUnknownSampleTypeIsRefusedWithTheKnownOnes) {
  const auto parsed = ParseSampleType("s17");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.status().message(),
            "audio sample type 's17': want one of u8, s16, s24, s32, f32, f64, mulaw, alaw");
}

TEST(AudioFormat, AFrameIsOneSampleOfEachChannel) {
  EXPECT_EQ((AudioFormat{16'000, 1, SampleType::kU8}.frame_bytes()), 1);
  EXPECT_EQ((AudioFormat{44'100, 2, SampleType::kS24}.frame_bytes()), 6);
  EXPECT_EQ((AudioFormat{48'000, 8, SampleType::kF64}.frame_bytes()), 64);
}

TEST(AudioFormat, RatesAndChannelsOutsideTheirLimitsAreRefusedByName) {
  EXPECT_TRUE((AudioFormat{8'000, 1, SampleType::kS16}.Validate().ok()));
  EXPECT_TRUE((AudioFormat{192'000, 8, SampleType::kF64}.Validate().ok()));
  EXPECT_EQ((AudioFormat{7'999, 1, SampleType::kS16}.Validate().message()),
            "audio rate 7999 Hz: want 8000..192000");
  EXPECT_EQ((AudioFormat{192'001, 1, SampleType::kS16}.Validate().code()), Code::kInvalidArgument);
  EXPECT_EQ((AudioFormat{16'000, 0, SampleType::kS16}.Validate().message()),
            "audio channels = 0: want 1..8");
  EXPECT_FALSE((AudioFormat{16'000, 9, SampleType::kS16}.Validate().ok()));
  EXPECT_FALSE((AudioFormat{16'000, 1, static_cast<SampleType>(8)}.Validate().ok()));
}

}  // namespace
}  // namespace lipcast::audio
