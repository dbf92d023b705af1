#include "lipcast/media/h264_stream.h"

#include <gtest/gtest.h>

namespace lipcast::media {
namespace {

using Bytes = std::vector<uint8_t>;

TEST(AvccOfAnnexB, WritesLengthsForStartCodesAndLeavesTheParameterSetsOut) {
  const Bytes unit = {0, 0, 0, 1,    0x67, 1,    2,        // SPS
                      0, 0, 0, 1,    0x68, 3,              // PPS
                      0, 0, 1, 0x06, 5,    0x80,           // SEI
                      0, 0, 1, 0x65, 0,    0,    3, 1, 9,  // IDR with an emulation byte
                      0, 0, 0, 1,    0x65, 7};
  EXPECT_EQ(AvccOfAnnexB(unit), (Bytes{0, 0, 0, 3, 0x06, 5, 0x80,           //
                                       0, 0, 0, 6, 0x65, 0, 0,    3, 1, 9,  //
                                       0, 0, 0, 2, 0x65, 7}));
}

TEST(AvccOfAnnexB, TakesNothingEmptyUnitsAndWhatHasNoStartCode) {
  EXPECT_TRUE(AvccOfAnnexB({}).empty());
  EXPECT_TRUE(AvccOfAnnexB(Bytes{0, 0, 1}).empty());
  EXPECT_TRUE(AvccOfAnnexB(Bytes{0, 0, 1, 0, 0, 1}).empty());
  EXPECT_TRUE(AvccOfAnnexB(Bytes{1, 2, 3, 4, 5}).empty());
  EXPECT_EQ(AvccOfAnnexB(Bytes{0, 0, 1, 0x41, 0xff, 0, 0, 0}), (Bytes{0, 0, 0, 2, 0x41, 0xff}));
}

TEST(H264StreamOptions, NamesWhatIsWrong) {
  const Bytes config = {1, 0x64, 0, 0x1f, 0xff, 0xe1, 0};
  H264StreamOptions options{64, 48, {25, 1}, config, {}};
  EXPECT_TRUE(options.Validate().ok());
  options.width = 63;
  EXPECT_EQ(options.Validate().message(), "size = 63x48: want even sides");
  options.width = 64;
  options.fps = {0, 1};
  EXPECT_NE(options.Validate().message().find("fps = "), std::string::npos);
  options.fps = {25, 1};
  options.codec_config = std::span(config).first(6);
  EXPECT_EQ(options.Validate().message(), "codec_config: 6 bytes that are no avcC record");
}

}  // namespace
}  // namespace lipcast::media
