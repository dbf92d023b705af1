#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lipcast/base/clock.h"
#include "lipcast/base/log.h"
#include "lipcast/base/metrics.h"
#include "lipcast/base/status.h"
#include "lipcast/pipeline/loaded_avatar.h"
#include "lipcast/server/avatar_memory.h"
#include "lipcast/server/manifest_cache.h"

namespace lipcast::server {

enum class Eviction { kLeastRecentlyUsed, kLeastFrequentlyUsed };

struct RegistryOptions {
  std::vector<std::filesystem::path> roots;  ///< folders of avatars, in order
  /// Avatars by name, wherever they are; they come before those of the roots.
  std::map<std::string, std::filesystem::path> named = {};
  int64_t memory_bytes = int64_t{4} << 30;  ///< of all loaded avatars
  int max_loaded = 16;
  Eviction eviction = Eviction::kLeastRecentlyUsed;
  Nanoseconds idle_timeout{0};   ///< unload after this long without a session; 0: never
  bool preload_frames = false;   ///< a load decodes the frames too, as far as their budget goes
  std::string provider = "cpu";  ///< asked for; a load that took another is a warning in the log
  /// An avatar was loaded, unloaded or thrown out, or a load of it failed: ask IsLoaded. From the
  /// thread that did it, without a lock.
  std::function<void(const std::string& name)> on_change = nullptr;
};

struct AvatarStats {
  bool loaded = false, loading = false;
  int64_t sessions = 0, sessions_opened = 0;
  int64_t frames = 0, generated_frames = 0;
  Nanoseconds generate_time{0};
  int64_t model_bytes = 0;  ///< of the model files
  int64_t frame_bytes = 0;  ///< decoded frames and face boxes
  Nanoseconds load_time{0};
  int64_t loads = 0;
  int64_t last_used_unix_s = 0;  ///< when a session last began or ended; 0: never
  std::string problem;           ///< why the last load failed, or its manifest cannot be read

  double mean_generate_ms() const {  ///< of a generated frame; 0 where there was none
    if (generated_frames == 0) return 0;
    return static_cast<double>(generate_time.count()) / 1e6 / static_cast<double>(generated_frames);
  }
};

/// What one session did, given back when it ends.
struct SessionUse {
  int64_t frames = 0, generated_frames = 0;
  Nanoseconds generate_time{0};
};

struct AvatarEntry {
  std::string name;
  std::filesystem::path path;
  std::shared_ptr<const pipeline::LoadedAvatar> avatar;  ///< null unless loaded
  /// Of the loaded avatar, else of the package as it is now; null where that cannot be read.
  std::shared_ptr<const avatar::Manifest> manifest;
  AvatarStats stats;
};

/// The avatars of a server: named to it or found in its roots by name, loaded when needed, shared,
/// thrown out under a byte budget. What a session holds stays whole until it ends, whatever happens
/// here; it counts towards the budget until then.
/// Names:  never paths; what a link in a root leads to must lie in that root.
/// Thread: any. Loading takes its time and holds no lock; callers of one avatar share one load.
/// Errors: kInvalidArgument for what is no name, kNotFound for one that no root has; the loader's
///         own; kResourceExhausted where the budget is held by avatars in use: nobody goes for a
///         newcomer that would not fit anyhow.
class AvatarRegistry {
 public:
  using Loaded = std::shared_ptr<const pipeline::LoadedAvatar>;
  using Loader = std::function<Result<Loaded>(const std::filesystem::path&)>;

  AvatarRegistry(RegistryOptions options, Loader loader, const Clock& clock, LogSink& log,
                 Metrics& metrics);

 private:
  /// What one load brought.
  struct Version {
    Loaded avatar;
    int64_t sessions = 0;  // guarded by mu_
  };
  using SharedVersion = std::shared_ptr<Version>;

 public:
  /// One session's hold on an avatar. Movable; gives back on destruction. The registry must outlive
  /// it, and it the session.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept { *this = std::move(other); }
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { Release(); }
    const Loaded& avatar() const { return avatar_; }
    const std::string& name() const { return name_; }
    bool was_loaded() const { return was_loaded_; }
    /// What the session did, all in all; the last word counts.
    void Report(const SessionUse& use) { use_ = use; }

   private:
    friend class AvatarRegistry;
    void Release();
    AvatarRegistry* registry_ = nullptr;
    SharedVersion version_;
    std::string name_;
    Loaded avatar_;
    bool was_loaded_ = false;
    SessionUse use_;
  };

  /// Loads the avatar if need be. One that is loaded is had at once, without a look at the disk,
  /// also while it is being replaced.
  Result<Lease> Acquire(const std::string& name);
  /// True if it was loaded already.
  Result<bool> Load(const std::string& name);
  /// New sessions load it anew; running ones go on. kNotFound unless it is loaded.
  Status Unload(const std::string& name);
  /// Reads the package after this call began. What was loaded stays in place until the new one is
  /// whole, and for good if that fails.
  Status Replace(const std::string& name);

  /// Every avatar that was named or is in the roots, and every loaded one, by name. Reads the
  /// roots.
  std::vector<AvatarEntry> List();
  Result<AvatarEntry> Get(const std::string& name);
  /// Unloads what nobody has used for idle_timeout, and what decoding has grown over the budget as
  /// far as it is not in use. Called now and then by the server.
  void EvictIdle();
  int loaded() const;
  bool IsLoaded(const std::string& name) const;
  FeatureUse features() const;  ///< of every avatar in memory
  void Sample() const;          ///< sets the gauges of memory by cache

 private:
  /// A load under way.
  struct Pending {
    int64_t sessions = 0;  // that wait for it
    bool done = false;
    Status status;
    SharedVersion version;
  };
  struct Item {
    std::filesystem::path path;
    SharedVersion current;                // null unless loaded
    std::vector<SharedVersion> replaced;  // those still in use
    std::shared_ptr<Pending> load;        // null unless loading
    TimePoint last_used{};
    AvatarStats stats;
  };
  using Items = std::map<std::string, Item>;  // none is ever erased
  enum class Purpose { kSession, kLoad, kReplace };
  /// What the budget sees beside a newcomer.
  struct Held {
    int64_t fixed_bytes = 0, idle_bytes = 0;
    int fixed = 0;                      // avatars in use
    std::vector<Items::iterator> idle;  // the first goes first
  };
  /// Avatars thrown out under the lock; they end, and are logged, outside of it.
  struct Dropped {
    std::vector<SharedVersion> versions;
    std::vector<std::string> evicted;
  };

  Result<SharedVersion> Obtain(const std::string& name, Purpose purpose, bool* was_loaded);
  Result<SharedVersion> RunLoad(const std::string& name, Purpose purpose,
                                const std::shared_ptr<Pending>& load,
                                const std::filesystem::path& path);
  Result<Loaded> ReadPackage(const std::filesystem::path& path) const;
  Held Measure(const std::string& newcomer);
  Status MakeRoom(const std::string& newcomer, int64_t bytes, Dropped* dropped);
  void EvictUntil(int64_t bytes, int count, Held* held, Dropped* dropped);
  static void Retire(Item& item, Dropped* dropped);
  void Announce(const Dropped& dropped, const std::string& reason);
  void Changed(const std::string& name) const;
  AvatarEntry WithFacts(AvatarEntry entry);
  Result<std::filesystem::path> Find(const std::string& name) const;
  std::map<std::string, std::filesystem::path> Scan() const;
  void OpenSessions(Item& item, Version& version, int64_t sessions) const;
  void GiveBack(const std::string& name, SharedVersion version, const SessionUse& use);
  AvatarEntry EntryOf(const std::string& name, const Item& item) const;
  int LoadedLocked() const;
  template <typename Add>
  void ForEachVersion(const Add& add) const;  // takes mu_

  const RegistryOptions options_;
  const Loader loader_;
  const Clock& clock_;
  LogSink& log_;
  Metrics& metrics_;

  ManifestCache manifests_;
  mutable std::mutex mu_;
  std::condition_variable loaded_;
  Items items_;  // guarded by mu_
};

}  // namespace lipcast::server
