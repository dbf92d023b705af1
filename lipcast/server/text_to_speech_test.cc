#include "lipcast/server/text_to_speech.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>

#include "lipcast/base/test_folder.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

bool WaitFor(const std::function<bool()>& holds) {
  for (int i = 0; i < 10'000 && !holds(); ++i) ::poll(nullptr, 0, 1);
  return holds();
}

pid_t NumberIn(const fs::path& file) {
  pid_t number = 0;
  std::ifstream(file) >> number;
  return number;
}

/// Whether it has ended; one that init has yet to reap counts as ended.
bool Gone(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string number, name, state;
  file >> number >> name >> state;
  return state.empty() || state == "Z" || state == "X";
}

/// Runs `script` until it has made the file `ready` in `folder`, then ends the server.
Status EndedWhileItRuns(const TempFolder& folder, const std::string& script) {
  std::stop_source stop;
  SayProgram program{{"sh", "-c", "cd '" + folder.path().string() + "'; " + script}};
  program.limit = std::chrono::hours(1);
  auto said = std::async(std::launch::async, [&] { return Say(program, "a", stop.get_token()); });
  EXPECT_TRUE(WaitFor([&] { return fs::exists(folder / "ready"); }));
  stop.request_stop();
  return said.get().status();
}

const Status kShuttingDown = refusal::Draining();

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

TEST(TextToSpeech, AProgramThatRunsWhenTheServerEndsCanTidyUpFirst) {
  const TempFolder folder;
  EXPECT_EQ(EndedWhileItRuns(folder,
                             "trap 'mv begun tidied; exit 0' TERM; echo $$ > begun; "
                             "sleep 100 & mkdir ready; wait"),
            kShuttingDown);
  EXPECT_TRUE(fs::exists(folder / "tidied"));
  const pid_t child = NumberIn(folder / "tidied");
  EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), -1);  // reaped: no zombie
  EXPECT_EQ(errno, ECHILD);
}

TEST(TextToSpeech, WhatIgnoresTheWishToEndIsKilledWithItsGroup) {
  const TempFolder folder;
  EXPECT_EQ(EndedWhileItRuns(folder,
                             "trap '' TERM; echo $$ > first; "
                             "sh -c 'echo $$ > second; mkdir ready; while :; do sleep 1; done' & "
                             "while :; do sleep 1; done"),
            kShuttingDown);
  for (const char* name : {"first", "second"}) {
    const pid_t process = NumberIn(folder / name);
    ASSERT_GT(process, 0) << name;
    EXPECT_TRUE(WaitFor([&] { return Gone(process); })) << name;
  }
  EXPECT_EQ(::waitpid(NumberIn(folder / "first"), nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(TextToSpeech, WhatItStartedEndsWithAProgramThatTidiesUpAndLeavesItBehind) {
  const TempFolder folder;
  EXPECT_EQ(EndedWhileItRuns(folder,
                             "trap 'exit 0' TERM; "
                             "sh -c 'trap \"\" TERM; echo $$ > second; mkdir ready; "
                             "while :; do sleep 1; done' & wait"),
            kShuttingDown);
  const pid_t process = NumberIn(folder / "second");
  ASSERT_GT(process, 0);
  EXPECT_TRUE(WaitFor([&] { return Gone(process); }));
}

TEST(TextToSpeech, AProgramIsToldOfAClosedPipeThoughTheServerIgnoresIt) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const auto sound = Say(Shell("printf RIFF; kill -PIPE $$; printf more"), "a");
  std::signal(SIGPIPE, before);
  EXPECT_EQ(sound.status().code(), Code::kUnavailable);
}

TEST(TextToSpeech, ItsGroupIsToldWhileItRuns) {
  std::atomic<pid_t> group{0};
  SayProgram program = Shell("");
  program.group = &group;
  std::stop_source stop;
  const TempFolder folder;
  program.argv[2] =
      "cd '" + folder.path().string() + "'; echo $$ > first; mkdir ready; sleep 100 & wait";
  auto said = std::async(std::launch::async, [&] { return Say(program, "a", stop.get_token()); });
  EXPECT_TRUE(WaitFor([&] { return fs::exists(folder / "ready") && group != 0; }));
  EXPECT_EQ(group, NumberIn(folder / "first"));
  stop.request_stop();
  EXPECT_FALSE(said.get().ok());
  EXPECT_EQ(group, 0);
}

TEST(TextToSpeech, ASignalThatTheServerIgnoresOrBlocksReachesIt) {
  const auto before = std::signal(SIGHUP, SIG_IGN);
  sigset_t blocked, mask;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &mask);
  const auto sound = Say(Shell("printf RIFF; kill -HUP $$; printf more"), "a");
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  EXPECT_TRUE(sigismember(&blocked, SIGHUP)) << "the server's own mask stays";
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  std::signal(SIGHUP, before);
  EXPECT_EQ(sound.status().code(), Code::kUnavailable);
}

TEST(TextToSpeech, ATextWithoutWordsOrWithoutEndIsRefused) {
  for (const std::string& text : {std::string(), std::string(" \n"), std::string("\xff\xfe"),
                                  std::string(kMaxSayBytes + 1, 'a')}) {
    EXPECT_EQ(Say(Shell("printf RIFF"), text).status().code(), Code::kInvalidArgument);
  }
}

TEST(TextToSpeech, NoCommandIsNoProgram) {
  const auto none = SayProgramOf({});
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->has_value());
}

TEST(TextToSpeech, ACommandNamesAProgramThatIsThere) {
  for (const char* const there : {"sh", "/bin/sh"}) {
    const auto program = SayProgramOf({there, "--wav"});
    ASSERT_TRUE(program.ok()) << there;
    EXPECT_EQ((*program)->argv, (std::vector<std::string>{there, "--wav"}));
  }
  for (const char* const absent : {"none", "[]", "/bin/no-such-tts"}) {
    const auto program = SayProgramOf({absent});
    EXPECT_EQ(program.status().code(), Code::kInvalidArgument);
    EXPECT_EQ(program.status().message(),
              std::string("say.command: '") + absent +
                  "': no such program; want one that can be started, auto, or an empty list, which "
                  "is off");
  }
}

}  // namespace
}  // namespace lipcast::server
