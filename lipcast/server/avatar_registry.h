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

namespace lipcast::server {

enum class Eviction { kLeastRecentlyUsed, kLeastFrequentlyUsed };

struct RegistryOptions {
  std::vector<std::filesystem::path> roots;  ///< folders scanned for avatars, in order
  int64_t memory_bytes = int64_t{4} << 30;   ///< of all loaded avatars
  int max_loaded = 16;
  Eviction eviction = Eviction::kLeastRecentlyUsed;
  Nanoseconds idle_timeout{0};  ///< unload after this long without a session; 0: never
};

struct AvatarStats {
  bool loaded = false;
  int64_t sessions = 0, sessions_opened = 0;
  int64_t frames = 0, generated_frames = 0;
  Nanoseconds generate_time{0};
  int64_t model_bytes = 0, frame_bytes = 0;
  Nanoseconds load_time{0};
  int64_t loads = 0;
  int64_t last_used_unix_s = 0;  ///< 0: never
  std::string problem;           ///< why the last load failed
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
  AvatarStats stats;
};

/// The avatars of a server: found in its roots by name, loaded when needed, shared, thrown out
/// under a byte budget. What a session holds stays whole until it ends, whatever happens here.
/// Thread: any. Loading takes its time and holds no lock; callers of one avatar share one load.
/// Errors: kNotFound for a name that no root has; the loader's own; kResourceExhausted where the
///         budget is held by avatars in use.
class AvatarRegistry {
 public:
  using Loader = std::function<Result<std::shared_ptr<const pipeline::LoadedAvatar>>(
      const std::filesystem::path&)>;

  AvatarRegistry(RegistryOptions options, Loader loader, const Clock& clock, LogSink& log,
                 Metrics& metrics);

  /// One session's hold on an avatar. Movable; gives back on destruction.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept { *this = std::move(other); }
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { Release(); }
    const std::shared_ptr<const pipeline::LoadedAvatar>& avatar() const { return avatar_; }
    const std::string& name() const { return name_; }
    bool was_loaded() const { return was_loaded_; }
    void Report(const SessionUse& use) { use_ = use; }

   private:
    friend class AvatarRegistry;
    void Release();
    AvatarRegistry* registry_ = nullptr;
    std::string name_;
    std::shared_ptr<const pipeline::LoadedAvatar> avatar_;
    bool was_loaded_ = false;
    SessionUse use_;
  };

  /// Loads the avatar if need be. The registry must outlive the lease.
  Result<Lease> Acquire(const std::string& name);
  /// True if it was loaded already.
  Result<bool> Load(const std::string& name);
  /// New sessions load it anew; running ones go on. kNotFound unless it is loaded.
  Status Unload(const std::string& name);
  /// Loads the package again. What was loaded stays in place until the new one is whole, and for
  /// good if that fails.
  Status Replace(const std::string& name);

  /// Every avatar of the roots, and every loaded one, by name.
  std::vector<AvatarEntry> List();
  Result<AvatarEntry> Get(const std::string& name);
  /// Unloads what nobody has used for idle_timeout. Called now and then by the server.
  void EvictIdle();
  int loaded() const;

 private:
  struct Item {
    std::filesystem::path path;
    std::shared_ptr<const pipeline::LoadedAvatar> avatar;
    bool loading = false;
    Status load_status;  // of the load that just ended, for those who waited
    TimePoint last_used{};
    AvatarStats stats;
  };

  Result<std::shared_ptr<const pipeline::LoadedAvatar>> LoadItem(const std::string& name,
                                                                 bool again, bool* was_loaded);
  Status MakeRoom(const std::string& newcomer, int64_t bytes);
  Result<std::filesystem::path> Find(const std::string& name) const;
  void Scan();
  void GiveBack(const std::string& name, const SessionUse& use);
  AvatarEntry EntryOf(const std::string& name, const Item& item) const;
  void Touch(Item& item) const;

  const RegistryOptions options_;
  const Loader loader_;
  const Clock& clock_;
  LogSink& log_;
  Metrics& metrics_;

  mutable std::mutex mu_;
  std::condition_variable loaded_;
  std::map<std::string, Item> items_;  // guarded by mu_
};

}  // namespace lipcast::server
