#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lipcast/avatar/test_package.h"
#include "lipcast/server/avatar_registry.h"

namespace lipcast::server {

/// A generator that draws nothing.
class FakeGenerator final : public generator::Generator {
 public:
  explicit FakeGenerator(const avatar::MouthLayout& layout) : layout_(layout) {}
  const avatar::MouthLayout& layout() const override { return layout_; }
  const generator::AudioContext& context() const override { return context_; }
  inference::Provider provider() const override { return {}; }
  int64_t preferred_batch() const override { return 1; }
  Status Encode(int64_t, std::span<const float>, std::span<float>) const override { return {}; }
  Status Generate(std::span<const int64_t>, std::span<const float>, std::span<const float>,
                  std::span<float>) const override {
    return {};
  }
  std::optional<generator::FeatureCache::Stats> feature_stats() const override { return {}; }

 private:
  const avatar::MouthLayout layout_;
  const generator::AudioContext context_{};
};

/// Packages in a folder, and a loader that reads their pictures and has no networks.
class Shelf {
 public:
  Shelf() { std::filesystem::create_directories(root()); }
  std::filesystem::path root() const { return folder_.path() / "root"; }
  std::filesystem::path outside() const { return folder_.path(); }

  static void Put(const std::filesystem::path& folder, int64_t model_bytes = 1000) {
    avatar::WritePackage(folder);
    avatar::WriteFile(folder / "generator.onnx",
                      std::string(static_cast<size_t>(model_bytes), 'g'));
    avatar::WriteManifest(folder, avatar::SmallManifest());
  }
  void Add(const std::string& name, int64_t model_bytes = 1000) { Put(root() / name, model_bytes); }

  AvatarRegistry::Loader loader() {
    return [this](const std::filesystem::path& path) -> Result<AvatarRegistry::Loaded> {
      ++loads;
      if (on_load) LC_RETURN_IF_ERROR(on_load(path));
      LC_ASSIGN_OR_RETURN(auto avatar, avatar::Avatar::Load(path, codecs.codecs(), {}));
      const avatar::MouthLayout& mouth = avatar->manifest().generator.mouth;
      LC_ASSIGN_OR_RETURN(auto compositor, imaging::MouthCompositor::Create(mouth));
      auto generator = std::make_shared<FakeGenerator>(mouth);
      return AvatarRegistry::Loaded(std::make_shared<pipeline::LoadedAvatar>(
          pipeline::LoadedAvatar{std::move(avatar), std::move(generator), std::move(compositor),
                                 "fake", std::make_unique<avatar::PictureCache>(1 << 20)}));
    };
  }

  std::atomic<int> loads = 0;
  std::function<Status(const std::filesystem::path&)> on_load;
  avatar::FakeCodecs codecs;

 private:
  TempFolder folder_;
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
  AvatarRegistry::Lease Take(const std::string& name) {
    auto lease = registry().Acquire(name);
    EXPECT_TRUE(lease.ok()) << lease.status().ToString();
    return lease.ok() ? *std::move(lease) : AvatarRegistry::Lease();
  }
  /// A session that begins and ends now.
  void Use(const std::string& name) {
    clock_.Advance(std::chrono::seconds(1));
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

}  // namespace lipcast::server
