// Counts what a running stream allocates.
#include <gtest/gtest.h>

#include <algorithm>

#include "lipcast/base/test_allocations.h"
#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

/// Writes the sound of `frames` frames and reads as many events, one by one.
void Stream(Session& session, std::span<const std::byte> audio, int64_t frames, int* failures) {
  for (int64_t i = 0; i < frames; ++i) {
    const auto begin = static_cast<size_t>(2 * FirstSample(i, 16000, session.fps()));
    const auto end = static_cast<size_t>(2 * FirstSample(i + 1, 16000, session.fps()));
    *failures += !session.Audio(1, audio.subspan(begin, end - begin)).ok();
    const auto event = session.Next();
    *failures += !event.ok() || !event->has_value();
  }
}

TEST(Session, AllocatesNothingOnceItRuns) {
  // Speech, silence, and the blends between them.
  auto audio = Speech(100 * 640) + Silence(100 * 640) + Speech(50 * 640, 3) + Silence(50 * 640) +
               Speech(100 * 640, 2);
  ASSERT_EQ(audio.size(), 400 * 1280);
  for (const Rational& fps : {Rational{25, 1}, {30, 1}}) {
    for (int batch : {1, 4}) {
      const Watchdog watchdog;
      TestStage stage;
      SessionOptions options;
      options.batch = batch;
      options.fps = fps;
      auto session = stage.Open(stage.Load(), options);
      int failures = 0;
      ASSERT_TRUE(session->Audio(1, std::span(audio).first(40 * 1280)).ok());
      Stream(*session, audio, 400, &failures);
      ASSERT_GT(AllocationCount(), 0);
      // Pools grow to the most that was ever in use at once, which the threads' order decides.
      int64_t least = INT64_MAX;
      for (int round = 0; round < 10 && least > 0; ++round) {
        const int64_t before = AllocationCount();
        Stream(*session, audio, 400, &failures);
        least = std::min<int64_t>(least, AllocationCount() - before);
      }
      EXPECT_EQ(least, 0) << "in 400 frames at " << fps.ToString() << ", batch " << batch;
      EXPECT_EQ(failures, 0);
    }
  }
}

}  // namespace
}  // namespace lipcast::pipeline
