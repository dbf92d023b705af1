#include "lipcast/server/speech_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>

#include "lipcast/server/test_stand.h"

namespace lipcast::server {
namespace {

using testing::HasSubstr;

TEST(SpeechHost, LoadsThatHangKeepNobodyElse) {
  pipeline::Watchdog watchdog;
  inference::Gate gate;
  TestStand stand;
  AvatarRegistry registry(
      {.roots = {stand.stage_.folder()}},
      [&](const std::filesystem::path& path) {
        if (path.filename() == "2") gate.Pass();
        return stand.stage_.engine().LoadAvatar(path);
      },
      stand.clock_, stand.log_, stand.metrics_);
  SpeechHost::Parts parts = stand.host_->parts();
  parts.avatars = &registry;
  SpeechHost host(parts);
  ASSERT_TRUE(registry.Load("1").ok());
  gate.Close();
  for (int i = 0; i < 2; ++i) {
    host.opening("2").Post(TimePoint{}, [&](int) { EXPECT_TRUE(registry.Load("2").ok()); });
  }
  gate.AwaitWaiting(1);
  std::latch done(2);
  host.opening("1").Post(TimePoint{}, [&](int) {
    EXPECT_TRUE(host.Open("1", FilePace()).ok());
    done.count_down();
  });
  host.slow().Post(TimePoint{}, [&](int) { done.count_down(); });
  done.wait();
  gate.Open();
}

TEST(SpeechHost, SessionsAtFilePaceHaveABoundedNumberOfPlaces) {
  pipeline::Watchdog watchdog;
  TestStand stand;
  SpeechHost::Parts parts = stand.host_->parts();
  parts.file_streams = 2;
  SpeechHost host(parts);
  auto first = host.Open("1", FilePace()), second = host.Open("1", FilePace());
  ASSERT_TRUE(first.ok() && second.ok());
  const auto third = host.Open("1", FilePace());
  EXPECT_EQ(third.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(third.status().message(), HasSubstr("limits.file_sessions"));
  EXPECT_TRUE(host.Open("1", LivePace()).ok());
  (*second)->Cancel(Status(Code::kCancelled, "enough"));
  second = Status(Code::kCancelled, "enough");
  while (host.open_streams() > 1) std::this_thread::yield();
  EXPECT_TRUE(host.Open("1", FilePace()).ok());
  while (host.open_streams() > 1) std::this_thread::yield();
  EXPECT_EQ(host.Open("nobody", FilePace()).status().code(), Code::kNotFound);
}

TEST(SpeechHost, RawPicturesThatNoMessageHoldsAreRefusedWithTheLimit) {
  pipeline::Watchdog watchdog;
  TestStand stand;
  SpeechHost::Parts parts = stand.host_->parts();
  parts.message_bytes = 1 << 20;
  SpeechHost host(parts);
  for (const PictureCodec codec : {PictureCodec::kRgba, PictureCodec::kBgr, PictureCodec::kI420}) {
    StreamOptions options = FilePace(codec);
    options.session.width = options.session.height = 2048;
    const auto refused = host.Open("1", options);
    EXPECT_EQ(refused.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(refused.status().message(), HasSubstr("limits.message_bytes"));
    EXPECT_THAT(refused.status().message(), HasSubstr("2048x2048"));
    options.session.width = options.session.height = 256;
    EXPECT_TRUE(host.Open("1", options).ok());
  }
  StreamOptions options = FilePace(PictureCodec::kJpeg);
  options.session.width = options.session.height = 2048;
  EXPECT_TRUE(host.Open("1", options).ok());
}

}  // namespace
}  // namespace lipcast::server
