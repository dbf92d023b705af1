#include "lipcast/media/encoder_info.h"
#include "lipcast/media/fragmented_mp4.h"
#include "lipcast/media/h264_encoder.h"
#include "lipcast/media/libav_audio_reader.h"
#include "lipcast/media/media_test_support.h"
#include "lipcast/media/open_sink.h"
#include "lipcast/media/video_decoder.h"

namespace lipcast::media {
namespace {

TEST(WithoutLibav, EveryCallSaysSoInOneLine) {
  InitLibav();
  EXPECT_FALSE(FindEncoders().libav);
  for (const Status& status :
       {OpenSink("x.mp4", "", test::Options("", 4, 4)).status(),
        OpenVideo({"x.mp4", nullptr}).status(), OpenLibavAudio("x.mp4").status(),
        H264Encoder::Create({}).status(), FragmentedMp4::Create({}).status()}) {
    EXPECT_EQ(status.code(), Code::kUnimplemented);
    EXPECT_NE(status.message().find("built without libav (LIPCAST_LIBAV=OFF)"), std::string::npos);
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace lipcast::media
