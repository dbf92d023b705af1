// Loading, replacing, names and statistics; the budget has a file of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <new>
#include <thread>

#include "lipcast/server/test_shelf.h"

namespace lipcast::server {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Lease = AvatarRegistry::Lease;
using Loaded = AvatarRegistry::Loaded;

TEST_F(AvatarRegistryTest, LoadsOnFirstUseAndSharesAfterwards) {
  shelf_.Add("anna");
  Lease first = Take("anna");
  EXPECT_FALSE(first.was_loaded());
  EXPECT_EQ(first.name(), "anna");
  Lease second = Take("anna");
  EXPECT_TRUE(second.was_loaded());
  EXPECT_EQ(first.avatar(), second.avatar());
  EXPECT_EQ(shelf_.loads, 1);
}

TEST_F(AvatarRegistryTest, CallersOfOneAvatarShareOneLoad) {
  shelf_.Add("anna");
  constexpr int kCallers = 8;
  std::latch calling(kCallers);
  shelf_.on_load = [&](const fs::path&) {
    calling.wait();  // all but this one are about to ask
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    return Status();
  };
  registry();
  std::vector<Lease> leases(kCallers);
  std::vector<std::thread> callers;
  for (Lease& lease : leases) {
    callers.emplace_back([&] {
      calling.count_down();
      lease = Take("anna");
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(shelf_.loads, 1);
  for (const Lease& lease : leases) EXPECT_EQ(lease.avatar(), leases[0].avatar());
  EXPECT_EQ(Stats("anna").sessions, kCallers);
  EXPECT_EQ(Stats("anna").sessions_opened, kCallers);
  leases.clear();
  EXPECT_EQ(Stats("anna").sessions, 0);
}

TEST_F(AvatarRegistryTest, OneAvatarLoadsWhileAnotherDoes) {
  shelf_.Add("anna");
  shelf_.Add("ben");
  std::latch inside(1), open(1);
  shelf_.on_load = [&](const fs::path& path) {
    if (path.filename() != "anna") return Status();
    inside.count_down();
    open.wait();
    return Status();
  };
  registry();
  std::thread slow([&] { Take("anna"); });
  inside.wait();
  Take("ben");
  EXPECT_TRUE(Stats("anna").loading);
  EXPECT_THAT(LoadedNames(), ElementsAre("ben"));
  open.count_down();
  slow.join();
  EXPECT_FALSE(Stats("anna").loading);
}

TEST_F(AvatarRegistryTest, AProviderThatIsTakenIsNoWarning) {
  shelf_.Add("anna");
  Take("anna");
  EXPECT_THAT(log_.lines(), Not(Contains(HasSubstr("avatar_provider"))));
}

TEST_F(AvatarRegistryTest, AProviderThatWasAskedForAndNotTakenIsAWarning) {
  options_.provider = "cuda";
  shelf_.Add("anna");
  Take("anna");
  EXPECT_THAT(log_.lines(),
              Contains(HasSubstr("avatar_provider avatar=anna wanted=cuda used=cpu")));
}

TEST_F(AvatarRegistryTest, AFailedLoadIsToldToAllAndTriedAgainNextTime) {
  shelf_.Add("anna");
  shelf_.on_load = [](const fs::path&) { return Status(Code::kDataLoss, "half a file"); };
  EXPECT_EQ(registry().Acquire("anna").status(), Status(Code::kDataLoss, "half a file"));
  EXPECT_EQ(Stats("anna").problem, "half a file");
  EXPECT_EQ(Stats("anna").sessions, 0);
  EXPECT_EQ(Stats("anna").loads, 0);
  EXPECT_FALSE(Stats("anna").loading);
  EXPECT_THAT(log_.lines(), Contains(HasSubstr("avatar_load_failed avatar=anna")));
  shelf_.on_load = {};
  Take("anna");
  EXPECT_EQ(Stats("anna").problem, "");
  EXPECT_EQ(Stats("anna").loads, 1);
}

TEST_F(AvatarRegistryTest, AReplaceThatFailsKeepsTheOld) {
  shelf_.Add("anna");
  const Loaded old = Take("anna").avatar();
  avatar::WriteFile(shelf_.root() / "anna/generator.onnx", "cut short");
  EXPECT_FALSE(registry().Replace("anna").ok());
  Lease after = Take("anna");
  EXPECT_EQ(after.avatar(), old);
  EXPECT_THAT(Stats("anna").problem, HasSubstr("generator.onnx"));
  EXPECT_EQ(Stats("anna").loads, 1);
}

TEST_F(AvatarRegistryTest, SessionsStartOnTheOldWhileItIsBeingReplaced) {
  shelf_.Add("anna");
  const Loaded old = Take("anna").avatar();
  std::latch inside(1), open(1);
  shelf_.on_load = [&](const fs::path&) {
    inside.count_down();
    open.wait();
    return Status(Code::kDataLoss, "half a file");
  };
  std::thread replacing([&] { EXPECT_FALSE(registry().Replace("anna").ok()); });
  inside.wait();
  Lease during = Take("anna");  // would wait for ever, and then fail
  EXPECT_EQ(during.avatar(), old);
  EXPECT_TRUE(*registry().Load("anna"));
  open.count_down();
  replacing.join();
}

TEST_F(AvatarRegistryTest, AReplaceReadsThePackageAfterItWasAskedFor) {
  shelf_.Add("anna", 1000);
  std::latch inside(1), open(1);
  std::atomic<bool> first = true;
  shelf_.on_load = [&](const fs::path&) {
    if (!first.exchange(false)) return Status();
    inside.count_down();
    open.wait();
    return Status();
  };
  registry();
  std::thread loading([&] { Take("anna"); });
  inside.wait();
  std::thread replacing([&] { EXPECT_EQ(registry().Replace("anna"), Status()); });
  open.count_down();
  loading.join();
  replacing.join();
  EXPECT_EQ(shelf_.loads, 2);
  EXPECT_EQ(Stats("anna").loads, 2);
}

TEST_F(AvatarRegistryTest, AReplaceLeavesTheAvatarOfARunningSessionWhole) {
  shelf_.Add("anna", 1000);
  Lease running = Take("anna");
  const std::weak_ptr old = running.avatar();
  shelf_.Add("anna", 3000);
  ASSERT_EQ(registry().Replace("anna"), Status());
  EXPECT_EQ(running.avatar(), old.lock());
  for (int64_t i = 0; i < 10; ++i) {
    const auto frame = running.avatar()->avatar->Frame(i);
    ASSERT_TRUE(frame.ok());
    EXPECT_EQ(avatar::FrameOf(**frame), i);
  }
  Lease fresh = Take("anna");
  EXPECT_NE(fresh.avatar(), running.avatar());
  EXPECT_GT(Stats("anna").model_bytes, 3000);
  EXPECT_EQ(Stats("anna").sessions, 2);
  running = Lease();
  EXPECT_TRUE(old.expired()) << "the old one outlives its last session";
  EXPECT_EQ(Stats("anna").sessions, 1);
}

TEST_F(AvatarRegistryTest, AnUnloadLeavesTheAvatarOfARunningSessionWhole) {
  shelf_.Add("anna");
  Lease running = Take("anna");
  const std::weak_ptr old = running.avatar();
  ASSERT_EQ(registry().Unload("anna"), Status());
  EXPECT_EQ(registry().loaded(), 0);
  EXPECT_TRUE(running.avatar()->avatar->Frame(5).ok());
  EXPECT_EQ(registry().Unload("anna").code(), Code::kNotFound);
  running = Lease();
  EXPECT_TRUE(old.expired());
  EXPECT_FALSE(Take("anna").was_loaded());
}

TEST_F(AvatarRegistryTest, WhatIsNoNameNeverReachesTheFileSystem) {
  Shelf::Put(shelf_.outside() / "secret");
  shelf_.Add("anna/inner");
  shelf_.Add(".hidden");
  shelf_.Add("anna");
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("../secret"),
        std::string("anna/inner"), std::string("anna/"), std::string("./anna"),
        (shelf_.outside() / "secret").string(), std::string("..\\secret"), std::string("anna\0", 5),
        std::string("anna\0x", 6), std::string(".hidden"), std::string("anna.zip"),
        std::string("an\nna"), std::string("an\x7fna"), std::string("\xff\xfe"),
        std::string(252, 'a'), std::string(10'000'000, 'a')}) {
    const auto shown = name.substr(0, 40);
    for (const Status& status : {registry().Acquire(name).status(), registry().Load(name).status(),
                                 registry().Replace(name), registry().Get(name).status()}) {
      EXPECT_EQ(status.code(), Code::kInvalidArgument) << shown;
      EXPECT_LT(status.message().size(), 400U) << shown;
      EXPECT_THAT(status.message(), Not(HasSubstr("\n")));
    }
    EXPECT_EQ(registry().Unload(name).code(), Code::kNotFound) << shown;
  }
  EXPECT_EQ(shelf_.loads, 0);
}

TEST_F(AvatarRegistryTest, AnUnknownNameIsNotFoundAndTellsNothingOfTheDisk) {
  const auto unknown = registry().Acquire("nobody");
  EXPECT_EQ(unknown.status(), Status(Code::kNotFound, "avatar 'nobody': there is none"));
  EXPECT_EQ(registry().Acquire(std::string(251, 'a')).status().code(), Code::kNotFound);
  EXPECT_EQ(registry().Get("nobody").status().code(), Code::kNotFound);
}

TEST_F(AvatarRegistryTest, ALinkOutOfTheRootIsNotFollowedAndOneInsideIs) {
  Shelf::Put(shelf_.outside() / "secret");
  Shelf::Put(shelf_.outside() / "root-twin/anna");
  shelf_.Add("anna-v2");
  fs::create_symlink("../secret", shelf_.root() / "out");
  fs::create_symlink("../root-twin/anna", shelf_.root() / "twin");
  fs::create_symlink("anna-v2", shelf_.root() / "anna");
  fs::create_symlink("loop", shelf_.root() / "loop");
  fs::create_symlink(".", shelf_.root() / "self");
  avatar::WriteFile(shelf_.root() / "avatar.json", "{}");  // the root is no avatar of its own
  avatar::ZipFolder(shelf_.outside() / "secret", shelf_.outside() / "secret.zip");
  fs::create_symlink("../secret.zip", shelf_.root() / "zipped.zip");
  for (const char* const name : {"out", "twin", "loop", "self", "zipped"}) {
    EXPECT_EQ(registry().Acquire(name).status().code(), Code::kNotFound) << name;
  }
  EXPECT_EQ(shelf_.loads, 0);
  EXPECT_THAT(log_.lines(), Contains(HasSubstr("avatar_link_leads_out avatar=out")));
  Take("anna");
  std::vector<std::string> names;
  for (const AvatarEntry& entry : registry().List()) names.push_back(entry.name);
  EXPECT_THAT(names, ElementsAre("anna", "anna-v2"));
}

TEST_F(AvatarRegistryTest, RootsAreAskedInTurnAndAFolderComesBeforeItsZip) {
  shelf_.Add("anna");
  avatar::ZipFolder(shelf_.root() / "anna", shelf_.root() / "anna.zip");
  avatar::ZipFolder(shelf_.root() / "anna", shelf_.root() / "zipped.zip");
  const fs::path second = shelf_.outside() / "second";
  Shelf::Put(second / "anna");
  Shelf::Put(second / "Анна 🙂.");
  avatar::WriteFile(second / "notes.txt", "no avatar");
  avatar::WriteFile(second / "empty/readme", "none either");
  fs::create_directories(second / "folder.zip");
  options_.roots = {second, shelf_.outside() / "missing"};
  std::vector<std::pair<std::string, fs::path>> found;
  for (const AvatarEntry& entry : registry().List()) {
    found.emplace_back(entry.name, entry.path);
    EXPECT_EQ(Take(entry.name).avatar()->avatar->path(), entry.path);
  }
  EXPECT_THAT(found, ElementsAre(std::pair("anna", shelf_.root() / "anna"),
                                 std::pair("zipped", shelf_.root() / "zipped.zip"),
                                 std::pair("Анна 🙂.", second / "Анна 🙂.")));
}

TEST_F(AvatarRegistryTest, ANamedAvatarComesBeforeThoseOfTheRootsAndBringsNoNeighbour) {
  shelf_.Add("anna");
  shelf_.Add("ben");
  const fs::path place = shelf_.outside() / "place";
  for (const char* const name : {"anna-v2", "carl", "neighbour"}) Shelf::Put(place / name);
  avatar::ZipFolder(place / "carl", place / "carl.zip");
  options_.named = {{"anna", place / "anna-v2"}, {"carl", place / "carl.zip"}};
  std::vector<std::pair<std::string, fs::path>> found;
  for (const AvatarEntry& entry : registry().List()) {
    found.emplace_back(entry.name, entry.path);
    EXPECT_EQ(Take(entry.name).avatar()->avatar->path(), entry.path);
  }
  EXPECT_THAT(found, ElementsAre(std::pair("anna", place / "anna-v2"),
                                 std::pair("ben", shelf_.root() / "ben"),
                                 std::pair("carl", place / "carl.zip")));
  EXPECT_EQ(registry().Acquire("neighbour").status().code(), Code::kNotFound);
}

TEST_F(AvatarRegistryTest, AnAvatarWhoseFilesAreGoneSpeaksOnWhileItIsLoaded) {
  shelf_.Add("anna");
  Take("anna");
  fs::remove_all(shelf_.root() / "anna");
  EXPECT_TRUE(Take("anna").was_loaded());
  EXPECT_THAT(LoadedNames(), ElementsAre("anna"));
  EXPECT_EQ(registry().Replace("anna").code(), Code::kNotFound);
  EXPECT_THAT(LoadedNames(), ElementsAre("anna"));
  ASSERT_EQ(registry().Unload("anna"), Status());
  EXPECT_TRUE(registry().List().empty());
}

TEST_F(AvatarRegistryTest, StatisticsSayWhatTheSessionsDid) {
  shelf_.Add("a");
  shelf_.Add("b");
  for (int i = 1; i <= 3; ++i) {
    Lease lease = Take("a");
    lease.Report({.frames = 1, .generated_frames = 1});  // overtaken by the next
    lease.Report({.frames = 100 * i, .generated_frames = 10 * i, .generate_time = seconds(i)});
    EXPECT_EQ(Stats("a").sessions, 1);
    Lease moved = std::move(lease);
    Lease(std::move(moved));
    EXPECT_EQ(Stats("a").sessions, 0);
  }
  Take("b");
  const AvatarStats a = Stats("a");
  EXPECT_EQ(a.sessions_opened, 3);
  EXPECT_EQ(a.frames, 600);
  EXPECT_EQ(a.generated_frames, 60);
  EXPECT_EQ(a.generate_time, seconds(6));
  EXPECT_EQ(a.loads, 1);
  EXPECT_EQ(a.model_bytes + a.frame_bytes, Weight(1000));
  EXPECT_EQ(Stats("b").frames, 0);
  shelf_.on_load = [&](const fs::path&) {
    clock_.Advance(seconds(7));
    return Status();
  };
  ASSERT_EQ(registry().Replace("a"), Status());
  EXPECT_EQ(Stats("a").load_time, seconds(7));
  EXPECT_EQ(Stats("a").loads, 2);
  EXPECT_EQ(Stats("a").frames, 600);
}

TEST_F(AvatarRegistryTest, ALoadThatThrowsFailsForAllWhoWaitAndMayBeTriedAgain) {
  shelf_.Add("anna");
  std::latch calling(2);
  shelf_.on_load = [&](const fs::path&) -> Status {
    calling.wait();
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    throw std::bad_alloc();
  };
  registry();
  Code codes[2];
  std::vector<std::thread> callers;
  for (Code& code : codes) {
    callers.emplace_back([&] {
      calling.count_down();
      code = registry().Acquire("anna").status().code();
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_THAT(codes, testing::Each(Code::kResourceExhausted));
  EXPECT_THAT(Stats("anna").problem, HasSubstr("out of memory"));
  shelf_.on_load = nullptr;
  EXPECT_TRUE(Take("anna").avatar() != nullptr);
}

}  // namespace
}  // namespace lipcast::server
