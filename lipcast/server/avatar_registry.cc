#include "lipcast/server/avatar_registry.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "lipcast/avatar/find_avatar.h"

namespace lipcast::server {
namespace {

/// What an avatar may hold in memory: its model files, and its decoded frames up to their budget.
int64_t ModelBytes(const pipeline::LoadedAvatar& loaded) {
  const avatar::Manifest& manifest = loaded.avatar->manifest();
  int64_t bytes = 0;
  for (const std::string& name : {manifest.generator.model, manifest.audio.model}) {
    if (const auto found = manifest.files.find(name); found != manifest.files.end()) {
      bytes += found->second.bytes;
    }
  }
  return bytes;
}

int64_t HeldBytes(const pipeline::LoadedAvatar& loaded) {
  return ModelBytes(loaded) + loaded.avatar->frame_stats().bytes_held;
}

int64_t UnixSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool IsBareName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\\') == std::string::npos && name.find('\0') == std::string::npos &&
         !name.ends_with(".zip");
}

}  // namespace

AvatarRegistry::AvatarRegistry(RegistryOptions options, Loader loader, const Clock& clock,
                               LogSink& log, Metrics& metrics)
    : options_(std::move(options)),
      loader_(std::move(loader)),
      clock_(clock),
      log_(log),
      metrics_(metrics) {}

AvatarRegistry::Lease& AvatarRegistry::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  Release();
  registry_ = std::exchange(other.registry_, nullptr);
  name_ = std::move(other.name_);
  avatar_ = std::move(other.avatar_);
  was_loaded_ = other.was_loaded_;
  use_ = other.use_;
  return *this;
}

void AvatarRegistry::Lease::Release() {
  avatar_.reset();
  if (registry_ != nullptr) std::exchange(registry_, nullptr)->GiveBack(name_, use_);
}

Result<std::filesystem::path> AvatarRegistry::Find(const std::string& name) const {
  if (!IsBareName(name)) {
    return Status(Code::kInvalidArgument, "avatar '" + name + "': want a name, not a path");
  }
  auto found = avatar::FindAvatar(name, options_.roots);
  // Where the server keeps its avatars is not the client's business.
  if (!found.ok()) return Status(found.status().code(), "avatar '" + name + "': there is none");
  return found;
}

Result<AvatarRegistry::Lease> AvatarRegistry::Acquire(const std::string& name) {
  Lease lease;
  LC_ASSIGN_OR_RETURN(lease.avatar_, LoadItem(name, false, &lease.was_loaded_));
  lease.registry_ = this;
  lease.name_ = name;
  return lease;
}

Result<bool> AvatarRegistry::Load(const std::string& name) {
  bool was_loaded = false;
  LC_ASSIGN_OR_RETURN(auto avatar, LoadItem(name, false, &was_loaded));
  avatar.reset();
  GiveBack(name, {});
  std::lock_guard lock(mu_);
  --items_[name].stats.sessions_opened;  // nobody spoke
  return was_loaded;
}

Status AvatarRegistry::Replace(const std::string& name) {
  bool was_loaded = false;
  LC_ASSIGN_OR_RETURN(auto avatar, LoadItem(name, true, &was_loaded));
  avatar.reset();
  GiveBack(name, {});
  std::lock_guard lock(mu_);
  --items_[name].stats.sessions_opened;
  return {};
}

/// Returns the avatar with one session counted on it.
Result<std::shared_ptr<const pipeline::LoadedAvatar>> AvatarRegistry::LoadItem(
    const std::string& name, bool again, bool* was_loaded) {
  LC_ASSIGN_OR_RETURN(const std::filesystem::path path, Find(name));
  {
    std::unique_lock lock(mu_);
    Item& item = items_[name];
    item.path = path;
    *was_loaded = item.avatar != nullptr;
    if (item.loading) {
      loaded_.wait(lock, [&] { return !item.loading; });
      LC_RETURN_IF_ERROR(item.load_status);
    } else if (item.avatar == nullptr || again) {
      item.loading = true;
    }
    if (!item.loading) {
      Touch(item);
      ++item.stats.sessions;
      ++item.stats.sessions_opened;
      return item.avatar;
    }
  }
  const TimePoint start = clock_.Now();
  auto loaded = loader_(path);
  const Nanoseconds took = clock_.Now() - start;
  Status room = loaded.ok() ? MakeRoom(name, HeldBytes(**loaded)) : loaded.status();
  std::lock_guard lock(mu_);
  Item& item = items_[name];
  item.loading = false;
  item.load_status = room;
  item.stats.problem = room.message();
  loaded_.notify_all();
  if (!room.ok()) {
    metrics_.Count("avatar_load_failures_total", 1);
    log_.Log(LogLevel::kWarning, "avatar_load_failed",
             {{"avatar", name}, {"reason", room.ToString()}});
    return room;
  }
  item.avatar = *loaded;
  item.stats.load_time = took;
  ++item.stats.loads;
  ++item.stats.sessions;
  ++item.stats.sessions_opened;
  Touch(item);
  metrics_.Count("avatar_loads_total", 1);
  log_.Log(LogLevel::kInfo, "avatar_loaded",
           {{"avatar", name},
            {"ms",
             std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(took).count())}});
  return *loaded;
}

Status AvatarRegistry::MakeRoom(const std::string& newcomer, int64_t bytes) {
  std::lock_guard lock(mu_);
  while (true) {
    int64_t held = bytes;
    int count = 1;
    std::map<std::string, Item>::iterator worst = items_.end();
    for (auto it = items_.begin(); it != items_.end(); ++it) {
      const auto& [name, item] = *it;
      if (name == newcomer || item.avatar == nullptr) continue;
      held += HeldBytes(*item.avatar);
      ++count;
      if (item.stats.sessions > 0) continue;
      const bool worse = worst == items_.end() ||
                         (options_.eviction == Eviction::kLeastRecentlyUsed
                              ? item.last_used < worst->second.last_used
                              : item.stats.sessions_opened < worst->second.stats.sessions_opened);
      if (worse) worst = it;
    }
    if (held <= options_.memory_bytes && count <= options_.max_loaded) return {};
    if (worst == items_.end()) {
      return Status(Code::kResourceExhausted,
                    "avatar '" + newcomer + "': " + std::to_string(count) + " avatars with " +
                        std::to_string(held >> 20) + " MiB: want at most " +
                        std::to_string(options_.max_loaded) + " with " +
                        std::to_string(options_.memory_bytes >> 20) +
                        " MiB, and those loaded are in use");
    }
    worst->second.avatar.reset();
    metrics_.Count("avatar_evictions_total", 1);
    log_.Log(LogLevel::kInfo, "avatar_evicted", {{"avatar", worst->first}, {"for", newcomer}});
  }
}

Status AvatarRegistry::Unload(const std::string& name) {
  std::lock_guard lock(mu_);
  const auto found = items_.find(name);
  if (found == items_.end() || found->second.avatar == nullptr) {
    return Status(Code::kNotFound, "avatar '" + name + "': is not loaded");
  }
  found->second.avatar.reset();
  log_.Log(LogLevel::kInfo, "avatar_unloaded", {{"avatar", name}});
  return {};
}

void AvatarRegistry::GiveBack(const std::string& name, const SessionUse& use) {
  std::lock_guard lock(mu_);
  Item& item = items_[name];
  --item.stats.sessions;
  item.stats.frames += use.frames;
  item.stats.generated_frames += use.generated_frames;
  item.stats.generate_time += use.generate_time;
  Touch(item);
}

void AvatarRegistry::Touch(Item& item) const {
  item.last_used = clock_.Now();
  item.stats.last_used_unix_s = UnixSeconds();
}

void AvatarRegistry::EvictIdle() {
  if (options_.idle_timeout.count() == 0) return;
  std::lock_guard lock(mu_);
  for (auto& [name, item] : items_) {
    if (item.avatar == nullptr || item.stats.sessions > 0) continue;
    if (clock_.Now() - item.last_used < options_.idle_timeout) continue;
    item.avatar.reset();
    log_.Log(LogLevel::kInfo, "avatar_evicted", {{"avatar", name}, {"for", "idle"}});
  }
}

void AvatarRegistry::Scan() {
  for (const auto& root : options_.roots) {
    std::error_code error;
    for (std::filesystem::directory_iterator it(root, error), end; !error && it != end;
         it.increment(error)) {
      std::string name = it->path().filename().string();
      std::error_code ignored;
      if (name.ends_with(".zip")) {
        name.resize(name.size() - 4);
      } else if (!std::filesystem::exists(it->path() / "avatar.json", ignored)) {
        continue;
      }
      if (IsBareName(name) && items_[name].path.empty()) items_[name].path = it->path();
    }
  }
}

AvatarEntry AvatarRegistry::EntryOf(const std::string& name, const Item& item) const {
  AvatarEntry entry{name, item.path, item.avatar, item.stats};
  entry.stats.loaded = item.avatar != nullptr;
  if (item.avatar != nullptr) {
    entry.stats.model_bytes = ModelBytes(*item.avatar);
    entry.stats.frame_bytes = item.avatar->avatar->frame_stats().bytes_held;
  }
  return entry;
}

std::vector<AvatarEntry> AvatarRegistry::List() {
  std::lock_guard lock(mu_);
  Scan();
  std::vector<AvatarEntry> entries;
  for (const auto& [name, item] : items_) entries.push_back(EntryOf(name, item));
  return entries;
}

Result<AvatarEntry> AvatarRegistry::Get(const std::string& name) {
  LC_ASSIGN_OR_RETURN(const std::filesystem::path path, Find(name));
  std::lock_guard lock(mu_);
  Item& item = items_[name];
  item.path = path;
  return EntryOf(name, item);
}

int AvatarRegistry::loaded() const {
  std::lock_guard lock(mu_);
  return static_cast<int>(
      std::ranges::count_if(items_, [](const auto& e) { return e.second.avatar != nullptr; }));
}

}  // namespace lipcast::server
