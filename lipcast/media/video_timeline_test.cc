#include "lipcast/media/video_timeline.h"

#include "lipcast/media/media_test_support.h"

namespace lipcast::media {
namespace {

TEST(VideoTimeline, AConstantRateIsKeptToTheFraction) {
  std::vector<int64_t> pts;
  // Ten minutes at 30000/1001, rounded to milliseconds as Matroska does.
  for (int64_t i = 0; i < 18000; ++i) pts.push_back((i * 1001 * 1000 + 15000) / 30000 + 7);
  const auto timeline = MakeTimeline(pts, 1, 1000, {30000, 1001});
  LC_ASSERT_OK(timeline);
  EXPECT_EQ(timeline->fps, (Rational{30000, 1001}));
  EXPECT_EQ(timeline->frames, 18000);
  EXPECT_TRUE(timeline->stored.empty());
  EXPECT_EQ(timeline->note, "");
}

TEST(VideoTimeline, AVariableRateIsResampledByTime) {
  // 60/s for 2 s, then every fourth frame for 4 s: 180 frames, 30 a second on average.
  std::vector<int64_t> pts;
  for (int64_t i = 0; i < 120; ++i) pts.push_back(i * 1000 / 60);
  for (int64_t i = 120; i < 360; i += 4) pts.push_back(i * 1000 / 60);
  const auto timeline = MakeTimeline(pts, 1, 1000, {308, 10});
  LC_ASSERT_OK(timeline);
  EXPECT_EQ(timeline->fps, (Rational{60, 1}));
  EXPECT_EQ(timeline->frames, 357);  // the last stored one is shown once
  for (int64_t i = 0; i < timeline->frames; ++i) {
    ASSERT_EQ(timeline->StoredFrame(i), i < 120 ? i : 120 + (i - 120) / 4) << i;
  }
  EXPECT_EQ(timeline->FrameShowing(121), 124);
  EXPECT_NE(timeline->note.find("variable frame rate (180 frames)"), std::string::npos);
}

TEST(VideoTimeline, TheUsualRateIsFoundInTimesOfAnyGrain) {
  // A second at the rate, a pause, two more seconds.
  for (const Rational rate :
       {Rational{24000, 1001}, Rational{25, 1}, Rational{30000, 1001}, Rational{48, 1},
        Rational{50, 1}, Rational{60000, 1001}, Rational{60, 1}, Rational{120, 1}}) {
    for (const int64_t ticks : {600, 1000, 90000}) {
      std::vector<int64_t> pts;
      const int64_t frames = rate.num * 3 / rate.den;
      for (int64_t i = 0; i < frames; ++i) {
        const int64_t shown = i < frames / 3 ? i : i + frames / 6;
        pts.push_back(shown * rate.den * ticks / rate.num);
      }
      const auto timeline = MakeTimeline(pts, 1, ticks, {0, 1});
      LC_ASSERT_OK(timeline);
      EXPECT_NEAR(timeline->fps.value(), rate.value(), 0.11)
          << timeline->fps.ToString() << " for " << rate.ToString() << " in 1/" << ticks << " s";
    }
  }
}

TEST(VideoTimeline, OneFrameKeepsTheDeclaredRateOrTakesTheDefault) {
  EXPECT_EQ(MakeTimeline({5}, 1, 1000, {30, 1})->fps, (Rational{30, 1}));
  EXPECT_EQ(MakeTimeline({5}, 1, 1000, {0, 1})->fps, (Rational{25, 1}));
  EXPECT_EQ(MakeTimeline({5}, 1, 1000, {0, 0})->frames, 1);
}

TEST(VideoTimeline, AnAbsurdSpanIsRefused) {
  EXPECT_EQ(MakeTimeline({0, 40, 80, int64_t{1} << 50}, 1, 1000, {25, 1}).status().code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace lipcast::media
