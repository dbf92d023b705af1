#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>

#include "lipcast/pipeline/session.h"
#include "lipcast/pipeline/test_stage.h"

namespace lipcast::pipeline {
namespace {

constexpr int64_t kSecond = 16'000;

std::string TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(SessionSound, AFrameBringsAlongWhatFollowsItsOwn) {
  const Watchdog watchdog;
  TestStage stage;
  const auto avatar = stage.Load({});
  SessionOptions options;
  options.sound_ahead_samples = 4000;
  const auto session = stage.Open(avatar, options);
  const auto bytes = Speech(kSecond + 100);
  const std::string all = TextOf(bytes);
  size_t at = 0;
  const Played played = Play(*session, bytes, 500, [&](const Frame& frame) {
    EXPECT_EQ(TextOf(frame.sound), all.substr(at, 1280));
    at += frame.sound.size();
    EXPECT_EQ(TextOf(frame.ahead), all.substr(at, 8000));
    EXPECT_EQ(frame.played_samples, static_cast<int64_t>(frame.index) * 640);
  });
  EXPECT_TRUE(played.status.ok());
  EXPECT_EQ(at, all.size());
}

TEST(SessionSound, AFrameWaitsForWhatItIsToBringAlong) {
  const Watchdog watchdog;
  TestStage stage;
  const auto avatar = stage.Load({});
  SessionOptions options;
  options.sound_ahead_samples = 16'000;
  const auto session = stage.Open(avatar, options);
  const auto bytes = Speech(kSecond + 640);
  ASSERT_EQ(*session->TryAudio(1, std::span(bytes).first(bytes.size() - 1)), bytes.size() - 1);
  while (!session->NextIsDrawn()) std::this_thread::yield();
  Event event;
  EXPECT_EQ(*session->TryNext(&event), Poll::kLater);
  ASSERT_EQ(*session->TryAudio(1, std::span(bytes).last(1)), 1U);
  ASSERT_EQ(*session->TryNext(&event), Poll::kEvent);
  EXPECT_EQ(event.kind, Event::Kind::kStarted);
  ASSERT_EQ(*session->TryNext(&event), Poll::kEvent);
  EXPECT_EQ(event.frame.ahead.size(), 32'000U);
}

TEST(SessionSound, RefusesToBringAlongMoreThanASecond) {
  for (const int samples : {-1, 16'001}) {
    SessionOptions options;
    options.sound_ahead_samples = samples;
    EXPECT_EQ(options.Validate().ToString(), "INVALID_ARGUMENT: sound_ahead_samples = " +
                                                 std::to_string(samples) + ": want 0..16000");
  }
}

}  // namespace
}  // namespace lipcast::pipeline
