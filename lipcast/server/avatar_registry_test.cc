#include "lipcast/server/avatar_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <random>
#include <thread>

#include "lipcast/avatar/test_package.h"

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

/// Packages in a folder, and a loader that reads their pictures and has no networks.
class Shelf {
 public:
  Shelf() { fs::create_directories(root()); }
  fs::path root() const { return folder_.path() / "root"; }
  fs::path outside() const { return folder_.path(); }

  static void Put(const fs::path& folder, int64_t model_bytes = 1000) {
    avatar::WritePackage(folder);
    avatar::WriteFile(folder / "generator.onnx",
                      std::string(static_cast<size_t>(model_bytes), 'g'));
    avatar::WriteManifest(folder, avatar::SmallManifest());
  }
  void Add(const std::string& name, int64_t model_bytes = 1000) { Put(root() / name, model_bytes); }

  AvatarRegistry::Loader loader() {
    return [this](const fs::path& path) -> Result<Loaded> {
      ++loads;
      if (on_load) LC_RETURN_IF_ERROR(on_load(path));
      LC_ASSIGN_OR_RETURN(auto avatar, avatar::Avatar::Load(path, codecs.codecs(), {}));
      LC_ASSIGN_OR_RETURN(auto compositor,
                          imaging::MouthCompositor::Create(avatar->manifest().generator.mouth));
      return Loaded(std::make_shared<pipeline::LoadedAvatar>(
          pipeline::LoadedAvatar{std::move(avatar), nullptr, std::move(compositor), "fake",
                                 std::make_unique<avatar::PictureCache>(1 << 20)}));
    };
  }

  std::atomic<int> loads = 0;
  std::function<Status(const fs::path&)> on_load;
  avatar::FakeCodecs codecs;

 private:
  avatar::TempFolder folder_;
};

class AvatarRegistryTest : public testing::Test {
 protected:
  /// Made at the first call, after the options are set and before other threads ask.
  AvatarRegistry& registry() {
    if (!registry_) {
      options_.roots.insert(options_.roots.begin(), shelf_.root());
      registry_ =
          std::make_unique<AvatarRegistry>(options_, shelf_.loader(), clock_, log_, metrics_);
    }
    return *registry_;
  }
  Lease Take(const std::string& name) {
    auto lease = registry().Acquire(name);
    EXPECT_TRUE(lease.ok()) << lease.status().ToString();
    return lease.ok() ? *std::move(lease) : Lease();
  }
  /// A session that begins and ends now.
  void Use(const std::string& name) {
    clock_.Advance(seconds(1));
    Take(name);
  }
  AvatarStats Stats(const std::string& name) {
    const auto entry = registry().Get(name);
    EXPECT_TRUE(entry.ok()) << entry.status().ToString();
    return entry.ok() ? entry->stats : AvatarStats();
  }
  std::vector<std::string> LoadedNames() {
    std::vector<std::string> names;
    for (const AvatarEntry& entry : registry().List()) {
      EXPECT_EQ(entry.stats.loaded, entry.avatar != nullptr);
      if (entry.stats.loaded) names.push_back(entry.name);
    }
    EXPECT_EQ(static_cast<size_t>(registry().loaded()), names.size());
    return names;
  }
  /// What one avatar of `model_bytes` holds once it is loaded.
  int64_t Weight(int64_t model_bytes) {
    Shelf::Put(shelf_.outside() / "scale", model_bytes);
    const auto loaded = shelf_.loader()(shelf_.outside() / "scale");
    --shelf_.loads;
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    const auto& manifest = (*loaded)->avatar->manifest();
    return (*loaded)->avatar->frame_stats().bytes_held + model_bytes +
           manifest.files.at(manifest.audio.model).bytes;
  }

  Shelf shelf_;
  RegistryOptions options_;
  FakeClock clock_;
  MemoryLogSink log_;
  NullMetrics metrics_;
  std::unique_ptr<AvatarRegistry> registry_;
};

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

TEST_F(AvatarRegistryTest, TheLeastRecentlyUsedGoesFirst) {
  for (const char* const name : {"a", "b", "c"}) shelf_.Add(name);
  options_.memory_bytes = 2 * Weight(1000);
  Use("a");
  Use("b");
  Use("a");
  Use("a");
  Use("b");
  Use("c");
  EXPECT_THAT(LoadedNames(), ElementsAre("b", "c"));
  EXPECT_THAT(log_.lines(), Contains(HasSubstr("avatar_evicted avatar=a for=c")));
}

TEST_F(AvatarRegistryTest, TheLeastFrequentlyUsedGoesFirst) {
  for (const char* const name : {"a", "b", "c", "d"}) shelf_.Add(name);
  options_.memory_bytes = 2 * Weight(1000);
  options_.eviction = Eviction::kLeastFrequentlyUsed;
  Use("a");
  Use("a");
  Use("b");
  Use("c");
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "c"));
  Use("d");  // c and d had one session each: c's is the older
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "d"));
}

TEST_F(AvatarRegistryTest, TheNumberOfAvatarsIsABudgetToo) {
  for (const char* const name : {"a", "b", "c"}) shelf_.Add(name);
  options_.max_loaded = 2;
  Use("a");
  Use("b");
  Use("c");
  EXPECT_THAT(LoadedNames(), ElementsAre("b", "c"));
  Lease b = Take("b"), c = Take("c");
  EXPECT_EQ(registry().Acquire("a").status().code(), Code::kResourceExhausted);
}

TEST_F(AvatarRegistryTest, WhatIsInUseIsNeverEvicted) {
  for (const char* const name : {"a", "b", "c"}) shelf_.Add(name);
  options_.memory_bytes = 2 * Weight(1000);
  Lease a = Take("a");
  clock_.Advance(seconds(1));
  Use("b");
  Lease c = Take("c");  // a is older, but spoken by
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "c"));
  const auto refused = registry().Acquire("b");
  EXPECT_EQ(refused.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(refused.status().message(), HasSubstr("avatar 'b': needs "));
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "c"));
  EXPECT_EQ(Stats("b").sessions, 0);
  c = Lease();
  Take("b");
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "b"));
}

TEST_F(AvatarRegistryTest, ANewcomerThatCannotFitThrowsNobodyOut) {
  shelf_.Add("a");
  shelf_.Add("b");
  shelf_.Add("huge", 1'000'000);
  options_.memory_bytes = 2 * Weight(1000);
  Use("a");
  Use("b");
  EXPECT_EQ(registry().Acquire("huge").status().code(), Code::kResourceExhausted);
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "b"));
}

TEST_F(AvatarRegistryTest, LoadsThatEndTogetherKeepTheBudgetTogether) {
  options_.max_loaded = 2;
  std::vector<std::string> names;
  for (int i = 0; i < 6; ++i) shelf_.Add(names.emplace_back("avatar" + std::to_string(i)));
  registry();
  std::latch inside(6);
  shelf_.on_load = [&](const fs::path&) {
    inside.arrive_and_wait();
    return Status();
  };
  std::vector<std::thread> threads;
  for (const std::string& name : names) {
    threads.emplace_back([&] { EXPECT_TRUE(registry_->Load(name).ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(registry().loaded(), 2);
}

TEST_F(AvatarRegistryTest, AReplacedVersionCountsUntilItsLastSessionEnds) {
  shelf_.Add("a");
  shelf_.Add("b");
  options_.memory_bytes = 2 * Weight(1000);
  Lease old = Take("a");
  ASSERT_EQ(registry().Replace("a"), Status());
  Lease fresh = Take("a");
  EXPECT_EQ(registry().Acquire("b").status().code(), Code::kResourceExhausted);
  EXPECT_EQ(registry().Replace("a").code(), Code::kResourceExhausted);
  old = Lease();
  Take("b");
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "b"));
}

TEST_F(AvatarRegistryTest, WhatDecodingGrewOverTheBudgetGoesUnlessInUse) {
  shelf_.Add("a");
  shelf_.Add("b");
  options_.memory_bytes = 2 * Weight(1000) + 500;
  Lease a = Take("a");
  Use("b");
  ASSERT_TRUE(a.avatar()->avatar->Frame(3).ok());
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "b"));
  registry().EvictIdle();
  EXPECT_THAT(LoadedNames(), ElementsAre("a"));
  EXPECT_TRUE(a.avatar()->avatar->Frame(4).ok());
}

TEST_F(AvatarRegistryTest, AnIdleAvatarIsUnloadedAfterItsTimeAndOneInUseIsNot) {
  shelf_.Add("a");
  shelf_.Add("b");
  options_.idle_timeout = seconds(60);
  Lease a = Take("a");
  Take("b");
  clock_.Advance(seconds(59));
  registry().EvictIdle();
  EXPECT_THAT(LoadedNames(), ElementsAre("a", "b"));
  clock_.Advance(seconds(1));
  registry().EvictIdle();
  EXPECT_THAT(LoadedNames(), ElementsAre("a"));
  clock_.Advance(seconds(3600));
  a = Lease();  // the time starts here
  clock_.Advance(seconds(59));
  registry().EvictIdle();
  EXPECT_THAT(LoadedNames(), ElementsAre("a"));
  clock_.Advance(seconds(1));
  registry().EvictIdle();
  EXPECT_EQ(registry().loaded(), 0);
}

TEST_F(AvatarRegistryTest, ALoadByHandCountsAsUseButNotAsASession) {
  shelf_.Add("a");
  options_.idle_timeout = seconds(60);
  clock_.Advance(seconds(1000));
  EXPECT_FALSE(*registry().Load("a"));
  EXPECT_TRUE(*registry().Load("a"));
  registry().EvictIdle();
  EXPECT_EQ(registry().loaded(), 1);
  EXPECT_EQ(Stats("a").sessions_opened, 0);
  EXPECT_EQ(Stats("a").last_used_unix_s, 0);
  Take("a");
  EXPECT_EQ(Stats("a").sessions_opened, 1);
  EXPECT_GT(Stats("a").last_used_unix_s, 1'700'000'000);
}

TEST_F(AvatarRegistryTest, FramesAreDecodedAheadAsFarAsTheyAreKept) {
  shelf_.Add("a");
  options_.preload_frames = true;
  Lease a = Take("a");
  EXPECT_EQ(a.avatar()->avatar->frame_stats().frames_held, 10);
  EXPECT_EQ(shelf_.codecs.decodes, 10);
  shelf_.Add("broken");
  shelf_.codecs.broken_frame = 7;
  EXPECT_EQ(registry().Acquire("broken").status().code(), Code::kDataLoss);
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

TEST_F(AvatarRegistryTest, EightThreadsOfRandomStepsLeaveEverythingTrue) {
  const std::vector<std::string> names{"a", "b", "c", "d"};
  for (const std::string& name : names) shelf_.Add(name);
  options_.memory_bytes = 3 * Weight(1000);
  options_.idle_timeout = seconds(5);
  std::atomic<int> failing = 0;
  shelf_.on_load = [&](const fs::path&) {
    return ++failing % 7 == 0 ? Status(Code::kDataLoss, "every seventh") : Status();
  };
  AvatarRegistry& registry = this->registry();
  std::array<std::atomic<int64_t>, 4> opened{}, frames{};
  const auto walk = [&](uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<std::pair<size_t, Lease>> held;
    for (int step = 0; step < 150; ++step) {
      const size_t which = random() % 4;
      const std::string& name = names[which];
      switch (random() % 10) {
        case 0:
          (void)registry.Unload(name).ok();
          break;
        case 1:
          (void)registry.Replace(name).ok();
          break;
        case 2:
          clock_.Advance(seconds(1));
          registry.EvictIdle();
          break;
        case 3:
          for (const AvatarEntry& entry : registry.List()) {
            EXPECT_GE(entry.stats.sessions, 0);
          }
          break;
        case 4:
        case 5:
        case 6: {
          auto lease = registry.Acquire(name);
          if (!lease.ok()) {
            const Code code = lease.status().code();
            EXPECT_TRUE(code == Code::kResourceExhausted || code == Code::kDataLoss)
                << lease.status().ToString();
            break;
          }
          ++opened[which];
          ASSERT_NE(lease->avatar(), nullptr);
          EXPECT_EQ(lease->avatar()->avatar->path().filename(), name);
          held.emplace_back(which, *std::move(lease));
          break;
        }
        default:
          if (held.empty()) break;
          std::swap(held[random() % held.size()], held.back());
          const int64_t index = random() % 10;
          auto frame = held.back().second.avatar()->avatar->Frame(index);
          ASSERT_TRUE(frame.ok());
          EXPECT_EQ(avatar::FrameOf(**frame), index);
          held.back().second.Report({.frames = index});
          frames[held.back().first] += index;
          held.pop_back();
      }
    }
    for (const auto& [which, lease] : held) EXPECT_NE(lease.avatar(), nullptr);
  };
  std::vector<std::thread> threads;
  for (uint32_t seed = 1; seed <= 8; ++seed) threads.emplace_back(walk, seed);
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < names.size(); ++i) {
    const AvatarStats stats = Stats(names[i]);
    EXPECT_EQ(stats.sessions, 0) << names[i];
    EXPECT_EQ(stats.sessions_opened, opened[i]) << names[i];
    EXPECT_EQ(stats.frames, frames[i]) << names[i];
    EXPECT_GT(opened[i], 0) << names[i];
  }
  registry.EvictIdle();
  int64_t bytes = 0;
  for (const AvatarEntry& entry : registry.List()) {
    if (entry.avatar) bytes += entry.stats.model_bytes + entry.stats.frame_bytes;
  }
  EXPECT_LE(bytes, options_.memory_bytes);
  clock_.Advance(seconds(5));
  registry.EvictIdle();
  EXPECT_EQ(registry.loaded(), 0);
}

}  // namespace
}  // namespace lipcast::server
