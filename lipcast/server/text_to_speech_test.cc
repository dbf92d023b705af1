#include "lipcast/server/text_to_speech.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

using testing::HasSubstr;

SayProgram Shell(const std::string& script) { return {{"sh", "-c", script}}; }

TEST(TextToSpeech, TheProgramGetsTheTextAndItsSoundComesBack) {
  const auto sound = Say(Shell("printf RIFF; cat"), "Grüße; $(false) `false`");
  ASSERT_TRUE(sound.ok()) << sound.status().ToString();
  EXPECT_EQ(*sound, "RIFFGrüße; $(false) `false`");
}

TEST(TextToSpeech, ALongSoundComesWhole) {
  const auto sound = Say(Shell("printf RIFF; head -c 1000000 /dev/zero"), "a");
  ASSERT_TRUE(sound.ok()) << sound.status().ToString();
  EXPECT_EQ(sound->size(), 1'000'004u);
}

TEST(TextToSpeech, AProgramThatFailsIsNamed) {
  EXPECT_THAT(Say(Shell("printf RIFF; exit 3"), "a").status().message(),
              HasSubstr("'sh' gave no WAV (it ended with 3)"));
  EXPECT_THAT(Say(Shell("echo hello"), "a").status().message(), HasSubstr("gave no WAV"));
  const auto absent = Say({{"lipcast-no-such-program"}}, "a");
  EXPECT_EQ(absent.status().code(), Code::kUnavailable);
  EXPECT_THAT(absent.status().message(), HasSubstr("lipcast-no-such-program"));
}

TEST(TextToSpeech, AProgramThatHangsOrNeverEndsIsKilled) {
  SayProgram hangs = Shell("sleep 100 & wait");
  hangs.limit = std::chrono::milliseconds(50);
  EXPECT_EQ(Say(hangs, "a").status().code(), Code::kDeadlineExceeded);
  SayProgram lives_on = Shell("printf RIFF; exec >&-; sleep 100");
  lives_on.limit = std::chrono::milliseconds(50);
  EXPECT_EQ(Say(lives_on, "a").status().code(), Code::kDeadlineExceeded);
  SayProgram endless = Shell("cat /dev/zero");
  endless.sound_bytes = 100'000;
  EXPECT_EQ(Say(endless, "a").status().code(), Code::kResourceExhausted);
}

TEST(TextToSpeech, AProgramThatRunsIsKilledWhenTheServerEnds) {
  std::stop_source stop;
  std::promise<void> begins;
  SayProgram endless = Shell("sleep 100 & wait");
  endless.limit = std::chrono::hours(1);
  auto said = std::async(std::launch::async, [&] {
    begins.set_value();
    return Say(endless, "a", stop.get_token());
  });
  begins.get_future().wait();
  stop.request_stop();
  EXPECT_EQ(said.get().status(), refusal::Draining());
}

TEST(TextToSpeech, ATextWithoutWordsOrWithoutEndIsRefused) {
  for (const std::string& text : {std::string(), std::string(" \n"), std::string("\xff\xfe"),
                                  std::string(kMaxSayBytes + 1, 'a')}) {
    EXPECT_EQ(Say(Shell("printf RIFF"), text).status().code(), Code::kInvalidArgument);
  }
}

TEST(TextToSpeech, NoCommandIsNoProgram) {
  EXPECT_FALSE(SayProgramOf({}).has_value());
  EXPECT_EQ(SayProgramOf({"my-tts", "--wav"})->argv, (std::vector<std::string>{"my-tts", "--wav"}));
}

}  // namespace
}  // namespace lipcast::server
