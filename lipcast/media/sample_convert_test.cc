#include "lipcast/media/sample_convert.h"

#include <limits>

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

template <typename T>
float Convert(audio::SampleType type, T value) {
  float out = 99;
  SamplesToFloat(type, std::as_bytes(std::span(&value, 1)), {&out, 1});
  return out;
}

TEST(SamplesToFloat, FullScaleOfEveryTypeIsOne) {
  using audio::SampleType;
  EXPECT_EQ(Convert<uint8_t>(SampleType::kU8, 0), -1.0f);
  EXPECT_EQ(Convert<uint8_t>(SampleType::kU8, 192), 0.5f);
  EXPECT_EQ(Convert<int16_t>(SampleType::kS16, -32768), -1.0f);
  EXPECT_EQ(Convert<int16_t>(SampleType::kS16, 16384), 0.5f);
  EXPECT_EQ(Convert<int32_t>(SampleType::kS32, INT32_MIN), -1.0f);
  EXPECT_EQ(Convert<float>(SampleType::kF32, 0.25f), 0.25f);
  EXPECT_EQ(Convert<double>(SampleType::kF64, -0.25), -0.25f);
  const uint8_t s24[3] = {0, 0, 0x80};
  float out = 0;
  SamplesToFloat(SampleType::kS24, std::as_bytes(std::span(s24)), {&out, 1});
  EXPECT_EQ(out, -1.0f);
}

TEST(SamplesToFloat, NothingThatIsNotANumberComesOut) {
  using audio::SampleType;
  EXPECT_EQ(Convert(SampleType::kF32, std::numeric_limits<float>::quiet_NaN()), 0.0f);
  EXPECT_EQ(Convert(SampleType::kF32, std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_EQ(Convert(SampleType::kF64, 1e300), 16.0f);
}

TEST(SamplesToFloat, G711EqualsFfmpegOnEveryCode) {
  TempFolder folder;
  std::vector<uint8_t> codes(256);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i);
  test::WriteFile(folder / "codes", codes);
  for (const auto& [type, name] : {std::pair(audio::SampleType::kMulaw, "mulaw"),
                                   std::pair(audio::SampleType::kAlaw, "alaw")}) {
    test::Run(std::string("ffmpeg -v error -y -f ") + name + " -ar 8000 -ac 1 -i " +
              test::Quoted(folder / "codes") + " -f s16le " + test::Quoted(folder / "pcm"));
    const std::vector<uint8_t> pcm = test::ReadFile(folder / "pcm");
    ASSERT_EQ(pcm.size(), 512u);
    std::vector<float> ours(256), theirs(256);
    SamplesToFloat(type, std::as_bytes(std::span(codes)), ours);
    SamplesToFloat(audio::SampleType::kS16, std::as_bytes(std::span(pcm)), theirs);
    EXPECT_EQ(ours, theirs) << name;
  }
}

}  // namespace
}  // namespace lipcast::media
