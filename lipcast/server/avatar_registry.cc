#include "lipcast/server/avatar_registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <span>
#include <tuple>
#include <utility>

#include "lipcast/avatar/find_avatar.h"
#include "lipcast/avatar/package_path.h"
#include "lipcast/base/executor.h"
#include "lipcast/server/avatar_memory.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxNameBytes = 251;  // a file name has 255, ".zip" takes four

int64_t UnixSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Status Named(const std::string& name, Code code, const std::string& message,
             std::string_view reason = {}) {
  return Status(code, "avatar '" + avatar::ShownText(name, 80) + "': " + message, reason);
}

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name[0] != '.' &&
         !name.ends_with(".zip") && avatar::IsUtf8(name) && std::ranges::none_of(name, [](char c) {
           return c == '/' || c == '\\' || static_cast<unsigned char>(c) < ' ' || c == '\x7f';
         });
}

bool LiesIn(const fs::path& path, const fs::path& root) {
  std::error_code error;
  const fs::path real_root = fs::canonical(root, error);
  if (error) return false;
  const fs::path real = fs::canonical(path, error);
  if (error) return false;
  const auto [root_end, path_at] = std::ranges::mismatch(real_root, real);
  return root_end == real_root.end() && path_at != real.end();
}

/// Decodes from the first frame on while the store keeps all of them.
Status DecodeFrames(const avatar::Avatar& avatar) {
  for (int64_t i = 0; i < avatar.manifest().frame_count; ++i) {
    LC_RETURN_IF_ERROR(avatar.Frame(i).status());
    if (avatar.frame_stats().frames_held <= i) break;
  }
  return {};
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
  version_ = std::move(other.version_);
  name_ = std::move(other.name_);
  avatar_ = std::move(other.avatar_);
  was_loaded_ = other.was_loaded_;
  use_ = other.use_;
  return *this;
}

void AvatarRegistry::Lease::Release() {
  avatar_.reset();
  if (registry_ == nullptr) return;
  std::exchange(registry_, nullptr)->GiveBack(name_, std::move(version_), use_);
}

Result<fs::path> AvatarRegistry::Find(const std::string& name) const {
  if (!IsName(name)) {
    return Named(name, Code::kInvalidArgument,
                 fmt::format("want a name of 1..{} bytes, not a path", kMaxNameBytes));
  }
  if (const auto named = options_.named.find(name); named != options_.named.end()) {
    return named->second;
  }
  for (const fs::path& root : options_.roots) {
    auto found = avatar::FindAvatar(name, std::span(&root, 1));
    if (!found.ok()) continue;
    if (LiesIn(*found, root)) return found;
    log_.Log(LogLevel::kWarning, "avatar_link_leads_out",
             {{"avatar", name}, {"path", avatar::Utf8FromPath(*found)}});
  }
  // Where the server keeps its avatars is not the client's business.
  return Named(name, Code::kNotFound, "there is none");
}

Result<AvatarRegistry::Lease> AvatarRegistry::Acquire(const std::string& name) {
  Lease lease;
  LC_ASSIGN_OR_RETURN(lease.version_, Obtain(name, Purpose::kSession, &lease.was_loaded_));
  lease.registry_ = this;
  lease.name_ = name;
  lease.avatar_ = lease.version_->avatar;
  return lease;
}

Result<bool> AvatarRegistry::Load(const std::string& name) {
  bool was_loaded = false;
  LC_RETURN_IF_ERROR(Obtain(name, Purpose::kLoad, &was_loaded).status());
  return was_loaded;
}

Status AvatarRegistry::Replace(const std::string& name) {
  bool was_loaded = false;
  return Obtain(name, Purpose::kReplace, &was_loaded).status();
}

/// For kSession one session is counted on what comes back.
Result<AvatarRegistry::SharedVersion> AvatarRegistry::Obtain(const std::string& name,
                                                             Purpose purpose, bool* was_loaded) {
  const int64_t sessions = purpose == Purpose::kSession ? 1 : 0;
  const auto take = [&](Item& item) {
    *was_loaded = true;
    OpenSessions(item, *item.current, sessions);
    return item.current;
  };
  {
    std::lock_guard lock(mu_);
    const auto known = items_.find(name);
    if (purpose != Purpose::kReplace && known != items_.end() && known->second.current) {
      return take(known->second);
    }
  }
  LC_ASSIGN_OR_RETURN(const fs::path path, Find(name));
  std::unique_lock lock(mu_);
  Item& item = items_[name];
  item.path = path;
  if (purpose == Purpose::kReplace) {
    // A load under way may have read the package before it changed.
    loaded_.wait(lock, [&] { return item.load == nullptr; });
  } else if (item.current) {
    return take(item);
  } else if (item.load) {
    const std::shared_ptr<Pending> load = item.load;
    load->sessions += sessions;
    loaded_.wait(lock, [&] { return load->done; });
    LC_RETURN_IF_ERROR(load->status);
    return load->version;
  }
  const auto load = std::make_shared<Pending>();
  item.load = load;
  load->sessions = sessions;
  lock.unlock();
  return RunLoad(name, purpose, load, path);
}

Result<AvatarRegistry::Loaded> AvatarRegistry::ReadPackage(const fs::path& path) const {
  LC_ASSIGN_OR_RETURN(Loaded loaded, loader_(path));
  if (options_.preload_frames) LC_RETURN_IF_ERROR(DecodeFrames(*loaded->avatar));
  return loaded;
}

Result<AvatarRegistry::SharedVersion> AvatarRegistry::RunLoad(const std::string& name,
                                                              Purpose purpose,
                                                              const std::shared_ptr<Pending>& load,
                                                              const fs::path& path) {
  const TimePoint start = clock_.Now();
  auto loaded = Contain([&] { return ReadPackage(path); });  // others wait for what comes of it
  const Nanoseconds took = clock_.Now() - start;
  Status status = loaded.status();
  Dropped dropped;
  int count = 0;
  const FeatureUse features = loaded.ok() ? FeatureUseOf(**loaded) : FeatureUse();
  {
    std::lock_guard lock(mu_);
    Item& item = items_[name];
    if (loaded.ok()) status = MakeRoom(name, HeldBytes(**loaded), &dropped);
    if (status.ok()) {
      Retire(item, &dropped);
      item.current = std::make_shared<Version>(Version{*std::move(loaded)});
      item.last_used = clock_.Now();
      item.stats.load_time = took;
      ++item.stats.loads;
      OpenSessions(item, *item.current, load->sessions);
    }
    item.stats.problem = status.message();
    load->version = item.current;
    load->status = status;
    load->done = true;
    item.load.reset();
    count = LoadedLocked();
  }
  loaded_.notify_all();
  Announce(dropped, name);
  Changed(name);
  metrics_.Gauge("avatars_loaded", count);
  if (!status.ok()) {
    metrics_.Count("avatar_load_failures_total", 1);
    log_.Log(LogLevel::kWarning, "avatar_load_failed",
             {{"avatar", name}, {"reason", status.ToString()}});
    return status;
  }
  metrics_.Count("avatar_loads_total", 1);
  metrics_.Observe("avatar_load_seconds", std::chrono::duration<double>(took).count());
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  std::vector<LogField> fields = {{"avatar", name}, {"ms", std::to_string(ms)}};
  if (features.needed_bytes > 0) {
    fields.push_back({"features_mb", std::to_string(features.budget_bytes >> 20)});
    fields.push_back({"features_needed_mb", std::to_string(features.needed_bytes >> 20)});
  }
  log_.Log(LogLevel::kInfo, purpose == Purpose::kReplace ? "avatar_replaced" : "avatar_loaded",
           fields);
  const auto& generator = *load->version->avatar->generator;
  if (const auto used = ProviderName(generator.provider()); used != options_.provider) {
    log_.Log(LogLevel::kWarning, "avatar_provider",
             {{"avatar", name}, {"wanted", options_.provider}, {"used", used}});
  }
  return load->version;
}

AvatarRegistry::Held AvatarRegistry::Measure(const std::string& newcomer) {
  Held held;
  for (auto it = items_.begin(); it != items_.end(); ++it) {
    const auto& [name, item] = *it;
    for (const SharedVersion& version : item.replaced) {
      held.fixed_bytes += HeldBytes(*version->avatar);
    }
    if (!item.current) continue;
    const int64_t bytes = HeldBytes(*item.current->avatar);
    if (item.current->sessions > 0) {
      held.fixed_bytes += bytes;
      held.fixed += name == newcomer ? 0 : 1;
    } else if (name != newcomer) {
      held.idle_bytes += bytes;
      held.idle.push_back(it);
    }
  }
  const bool frequency = options_.eviction == Eviction::kLeastFrequentlyUsed;
  std::ranges::stable_sort(held.idle, {}, [&](const Items::iterator& it) {
    const Item& item = it->second;
    return std::tuple(frequency ? item.stats.sessions_opened : 0, item.last_used);
  });
  return held;
}

void AvatarRegistry::EvictUntil(int64_t bytes, int count, Held* held, Dropped* dropped) {
  int left = held->fixed + static_cast<int>(held->idle.size());
  for (const Items::iterator& it : held->idle) {
    if (held->fixed_bytes + held->idle_bytes <= bytes && left <= count) return;
    held->idle_bytes -= HeldBytes(*it->second.current->avatar);
    --left;
    Retire(it->second, dropped);
    dropped->evicted.push_back(it->first);
  }
}

Status AvatarRegistry::MakeRoom(const std::string& newcomer, int64_t bytes, Dropped* dropped) {
  Held held = Measure(newcomer);
  if (held.fixed_bytes + bytes > options_.memory_bytes || held.fixed >= options_.max_loaded) {
    return Named(newcomer, Code::kResourceExhausted,
                 fmt::format("needs {} bytes beside {} avatars in use with {}: want at most {} "
                             "avatars with {}",
                             bytes, held.fixed, held.fixed_bytes, options_.max_loaded,
                             options_.memory_bytes),
                 refusal::kMemory);
  }
  EvictUntil(options_.memory_bytes - bytes, options_.max_loaded - 1, &held, dropped);
  return {};
}

/// Takes the current version out of its place; one in use lives on beside it.
void AvatarRegistry::Retire(Item& item, Dropped* dropped) {
  if (!item.current) return;
  auto& place = item.current->sessions > 0 ? item.replaced : dropped->versions;
  place.push_back(std::exchange(item.current, nullptr));
}

void AvatarRegistry::Announce(const Dropped& dropped, const std::string& reason) {
  for (const std::string& name : dropped.evicted) {
    metrics_.Count("avatar_evictions_total", 1);
    log_.Log(LogLevel::kInfo, "avatar_evicted", {{"avatar", name}, {"for", reason}});
    Changed(name);
  }
}

void AvatarRegistry::Changed(const std::string& name) const {
  if (options_.on_change) options_.on_change(name);
}

Status AvatarRegistry::Unload(const std::string& name) {
  Dropped dropped;
  int count = 0;
  {
    std::lock_guard lock(mu_);
    const auto found = items_.find(name);
    if (found == items_.end() || !found->second.current) {
      return Named(name, Code::kNotFound, "is not loaded");
    }
    Retire(found->second, &dropped);
    count = LoadedLocked();
  }
  metrics_.Gauge("avatars_loaded", count);
  log_.Log(LogLevel::kInfo, "avatar_unloaded", {{"avatar", name}});
  Changed(name);
  return {};
}

void AvatarRegistry::OpenSessions(Item& item, Version& version, int64_t sessions) const {
  if (sessions == 0) return;
  version.sessions += sessions;
  item.stats.sessions += sessions;
  item.stats.sessions_opened += sessions;
  item.last_used = clock_.Now();
  item.stats.last_used_unix_s = UnixSeconds();
}

void AvatarRegistry::GiveBack(const std::string& name, SharedVersion version,
                              const SessionUse& use) {
  std::lock_guard lock(mu_);  // `version` outlives it: the last of a replaced one ends unlocked
  Item& item = items_[name];
  --item.stats.sessions;
  item.stats.frames += use.frames;
  item.stats.generated_frames += use.generated_frames;
  item.stats.generate_time += use.generate_time;
  item.last_used = clock_.Now();
  item.stats.last_used_unix_s = UnixSeconds();
  if (--version->sessions == 0) std::erase(item.replaced, version);
}

void AvatarRegistry::EvictIdle() {
  Dropped idle, grown;
  int count = 0;
  {
    std::lock_guard lock(mu_);
    const TimePoint now = clock_.Now();
    for (auto& [name, item] : items_) {
      const bool due = options_.idle_timeout.count() > 0 && item.current &&
                       item.current->sessions == 0 && now - item.last_used >= options_.idle_timeout;
      if (!due) continue;
      Retire(item, &idle);
      idle.evicted.push_back(name);
    }
    Held held = Measure("");
    EvictUntil(options_.memory_bytes, options_.max_loaded, &held, &grown);
    count = LoadedLocked();
  }
  Announce(idle, "idle");
  Announce(grown, "memory");
  metrics_.Gauge("avatars_loaded", count);
}

std::map<std::string, fs::path> AvatarRegistry::Scan() const {
  std::set<std::string> names;
  for (const auto& [name, path] : options_.named) names.insert(name);
  for (const auto& root : options_.roots) {
    std::error_code error;
    for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
      std::string name = avatar::AvatarName(it->path());
      if (IsName(name)) names.insert(std::move(name));
    }
  }
  std::map<std::string, fs::path> found;
  for (const std::string& name : names) {
    if (auto path = Find(name); path.ok()) found[name] = *std::move(path);
  }
  return found;
}

AvatarEntry AvatarRegistry::EntryOf(const std::string& name, const Item& item) const {
  AvatarEntry entry;
  entry.name = name;
  entry.path = item.path;
  if (item.current) entry.avatar = item.current->avatar;
  entry.stats = item.stats;
  entry.stats.loaded = item.current != nullptr;
  entry.stats.loading = item.load != nullptr;
  if (entry.avatar) {
    entry.stats.model_bytes = ModelBytes(*entry.avatar);
    entry.stats.frame_bytes = FrameBytes(*entry.avatar);
  }
  return entry;
}

/// Reads the manifest of what is not loaded; holds no lock.
AvatarEntry AvatarRegistry::WithFacts(AvatarEntry entry) {
  if (entry.avatar) {
    entry.manifest =
        std::shared_ptr<const avatar::Manifest>(entry.avatar, &entry.avatar->avatar->manifest());
    return entry;
  }
  ManifestCache::Facts facts = manifests_.Get(entry.path);
  entry.manifest = std::move(facts.manifest);
  if (entry.stats.problem.empty()) entry.stats.problem = std::move(facts.problem);
  return entry;
}

std::vector<AvatarEntry> AvatarRegistry::List() {
  const auto found = Scan();
  std::vector<AvatarEntry> entries;
  {
    std::lock_guard lock(mu_);
    for (const auto& [name, path] : found) items_[name].path = path;
    for (const auto& [name, item] : items_) {
      if (found.contains(name) || item.current) entries.push_back(EntryOf(name, item));
    }
  }
  for (AvatarEntry& entry : entries) entry = WithFacts(std::move(entry));
  return entries;
}

Result<AvatarEntry> AvatarRegistry::Get(const std::string& name) {
  {
    std::lock_guard lock(mu_);
    const auto known = items_.find(name);
    // The manifest of what is loaded is in memory: no file is read under the lock.
    if (known != items_.end() && known->second.current) {
      return WithFacts(EntryOf(name, known->second));
    }
  }
  LC_ASSIGN_OR_RETURN(const fs::path path, Find(name));
  AvatarEntry entry;
  {
    std::lock_guard lock(mu_);
    Item& item = items_[name];
    item.path = path;
    entry = EntryOf(name, item);
  }
  return WithFacts(std::move(entry));
}

bool AvatarRegistry::IsLoaded(const std::string& name) const {
  std::lock_guard lock(mu_);
  const auto known = items_.find(name);
  return known != items_.end() && known->second.current != nullptr;
}

int AvatarRegistry::loaded() const {
  std::lock_guard lock(mu_);
  return LoadedLocked();
}

template <typename Add>
void AvatarRegistry::ForEachVersion(const Add& add) const {
  std::lock_guard lock(mu_);
  for (const auto& [name, item] : items_) {
    if (item.current) add(*item.current->avatar);
    for (const SharedVersion& version : item.replaced) add(*version->avatar);
  }
}

FeatureUse AvatarRegistry::features() const {
  FeatureUse use;
  ForEachVersion([&](const pipeline::LoadedAvatar& avatar) { use += FeatureUseOf(avatar); });
  return use;
}

void AvatarRegistry::Sample() const {
  int64_t models = 0, frames = 0, features = 0;
  ForEachVersion([&](const pipeline::LoadedAvatar& avatar) {
    models += ModelBytes(avatar);
    frames += avatar.avatar->frame_stats().bytes_held;
    features += FeatureBytes(avatar);
  });
  const FeatureUse use = this->features();
  metrics_.Gauge("feature_cache_bytes{of=\"budget\"}", static_cast<double>(use.budget_bytes));
  metrics_.Gauge("feature_cache_bytes{of=\"held\"}", static_cast<double>(use.held_bytes));
  metrics_.Gauge("feature_cache_bytes{of=\"needed\"}", static_cast<double>(use.needed_bytes));
  metrics_.Gauge("cache_bytes{cache=\"models\"}", static_cast<double>(models));
  metrics_.Gauge("cache_bytes{cache=\"frames\"}", static_cast<double>(frames));
  metrics_.Gauge("cache_bytes{cache=\"features\"}", static_cast<double>(features));
}

int AvatarRegistry::LoadedLocked() const {
  return static_cast<int>(
      std::ranges::count_if(items_, [](const auto& e) { return e.second.current != nullptr; }));
}

}  // namespace lipcast::server
