#include "lipcast/audio/mel_config.h"

#include <gtest/gtest.h>

namespace lipcast::audio {
namespace {

TEST(MelConfig, TheDefaultsAreValidAndSayWhatTheyAre) {
  EXPECT_TRUE(MelConfig{}.Validate().ok());
  EXPECT_EQ(MelConfig{}.ToString(),
            "16000 Hz, window 800, hop 200, 80 bands 55..7600 Hz, zero padding");
  MelConfig wav2lip;
  wav2lip.padding = Padding::kReflect;
  EXPECT_TRUE(wav2lip.Validate().ok());
  EXPECT_NE(wav2lip, MelConfig{});
}

TEST(MelConfig, EachFieldOutOfRangeIsNamedWithItsValueAndLimit) {
  const auto message = [](auto change) {
    MelConfig config;
    change(config);
    EXPECT_EQ(config.Validate().code(), Code::kInvalidArgument);
    return config.Validate().message();
  };
  EXPECT_EQ(message([](MelConfig& c) { c.hop_samples = 801; }),
            "mel.hop_samples = 801: want 1..800");
  EXPECT_EQ(message([](MelConfig& c) { c.hop_samples = 0; }), "mel.hop_samples = 0: want 1..800");
  EXPECT_EQ(message([](MelConfig& c) { c.hop_samples = 160 + 4; }),
            "mel.hop_samples = 164: want a multiple of 4 that divides 800");
  EXPECT_EQ(message([](MelConfig& c) { c.window_samples = 640; }),
            "mel.window_samples = 640: want 800");
  EXPECT_EQ(message([](MelConfig& c) { c.sample_rate_hz = 7'999; }),
            "mel.sample_rate_hz = 7999: want 8000..48000");
  EXPECT_EQ(message([](MelConfig& c) { c.bands = 0; }), "mel.bands = 0: want 1..256");
  EXPECT_EQ(message([](MelConfig& c) { c.high_hz = 8'001; }), "mel.high_hz = 8001: want 1..8000");
  EXPECT_EQ(message([](MelConfig& c) { c.low_hz = 7'600; }), "mel.low_hz = 7600: want 0..7599");
  EXPECT_EQ(message([](MelConfig& c) { c.padding = static_cast<Padding>(2); }),
            "mel.padding = 2: want 0 (zero) or 1 (reflect)");
}

TEST(MelConfig, FramesAreOnePlusTheWholeHopsAndNoneOfNothing) {
  EXPECT_EQ(MelFrameCount(0, 200), 0);
  EXPECT_EQ(MelFrameCount(1, 200), 1);
  EXPECT_EQ(MelFrameCount(199, 200), 1);
  EXPECT_EQ(MelFrameCount(200, 200), 2);
  EXPECT_EQ(MelFrameCount(16'000, 200), 81);
}

}  // namespace
}  // namespace lipcast::audio
