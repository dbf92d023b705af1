// Counts what the hot path allocates.
#include <gtest/gtest.h>

#include <vector>

#include "lipcast/base/test_allocations.h"
#include "lipcast/imaging/compose.h"
#include "lipcast/imaging/pack.h"
#include "lipcast/imaging/test_pictures.h"

namespace lipcast::imaging {
namespace {

TEST(MouthCompositor, AllocatesNothingAfterTheFirstFrameOfAShape) {
  for (int feather_px : {0, 9}) {
    const avatar::MouthLayout layout{.feather_px = feather_px};
    const Result<MouthCompositor> compositor = MouthCompositor::Create(layout);
    ASSERT_TRUE(compositor.ok());
    for (PixelFormat format : {PixelFormat::kBgr24, PixelFormat::kBgra32, PixelFormat::kI420}) {
      const TestPicture frame(format, 641, 361, 1), small(format, 320, 180, 2);
      const TestPicture resized(PixelFormat::kBgr24, 168, 168, 3);
      std::vector<float> planes(6 * 160 * 160);
      Scratch scratch;
      int failures = 0;
      const auto one_round = [&] {
        for (int i = 0; i < 10; ++i) {
          const Rect box{20 + i, 30, 204 + 2 * i, 214 + i};
          failures += !compositor->CropResized(frame.view(), box, resized.view(), scratch).ok();
          PackMouth(layout, resized.view(), planes);
          failures +=
              UnpackMouth(layout, std::span(planes).first(planes.size() / 2), resized.view()) != 0;
          failures += !compositor->Paste(resized.view(), box, 0.9f, frame.view(), scratch).ok();
          failures += !ResizePicture(frame.view(), small.view(), scratch).ok();
        }
      };
      one_round();
      const int64_t before = AllocationCount();
      EXPECT_GT(before, 0);
      one_round();
      EXPECT_EQ(AllocationCount() - before, 0) << "feather " << feather_px;
      EXPECT_EQ(failures, 0);
    }
  }
}

}  // namespace
}  // namespace lipcast::imaging
