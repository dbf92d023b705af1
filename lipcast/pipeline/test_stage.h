#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lipcast/avatar/test_package.h"
#include "lipcast/inference/fake_backend.h"
#include "lipcast/pipeline/engine.h"
#include "lipcast/pipeline/session.h"

namespace lipcast::pipeline {

/// Networks of family synctalk with a 32 px mouth whose picture depends on every row of the context
/// and on single values of the mel windows: two frames are equal only if their audio is.
inline constexpr int kStageMouthPx = 32;
inference::FakeModel DetailEncoder();
inference::FakeModel DetailGenerator();
/// The whole mouth is `value`.
inference::FakeModel FlatGenerator(float value);
/// Runs fail with `status`.
inference::FakeModel FailingGenerator(Status status);

/// An avatar of noise pictures, every byte of which depends on `seed` and the frame's index.
struct StageAvatar {
  PixelFormat format = PixelFormat::kI420;
  int width = 64, height = 48;
  Rational fps{25, 1};
  int64_t frames = 10;
  std::string order = "loop";
  std::vector<int64_t> no_face;
  uint32_t seed = 1;
};
/// Where the mouth of every frame is.
inline constexpr Rect kStageBox{8, 4, 48, 44};

class CountingMetrics final : public Metrics {
 public:
  void Count(std::string_view name, int64_t by) override;
  void Gauge(std::string_view, double) override {}
  void Observe(std::string_view, double) override {}
  int64_t count(const std::string& name) const;

 private:
  mutable std::mutex mu_;
  std::map<std::string, int64_t> counts_;  // guarded by mu_
};

struct StageOptions {
  int workers = 2;
  int64_t face_cache_bytes = EngineOptions{}.face_cache_bytes;
  inference::FakeModel generator = DetailGenerator();
  inference::FakeModel encoder = DetailEncoder();
  /// The generator's parts, for avatars that have it in two.
  std::optional<std::pair<inference::FakeModel, inference::FakeModel>> parts = {};
  generator::FeatureCacheOptions features = {};
  const Clock* clock = nullptr;  ///< a SteadyClock where unset
};

/// An engine with fake networks, and avatars for it. For tests.
class TestStage {
 public:
  explicit TestStage(StageOptions options = {});
  std::shared_ptr<const LoadedAvatar> Load(const StageAvatar& avatar = {});
  std::unique_ptr<Session> Open(std::shared_ptr<const LoadedAvatar> avatar,
                                const SessionOptions& options = {});
  Engine& engine() { return *engine_; }
  const CountingMetrics& metrics() const { return metrics_; }
  std::filesystem::path folder() const { return folder_.path(); }

 private:
  TempFolder folder_;
  int avatars_ = 0;
  bool in_parts_ = false;
  inference::FakeBackend backend_;
  SteadyClock steady_;
  CountingMetrics metrics_;
  NullLogSink log_;
  std::unique_ptr<Engine> engine_;
};

/// Ends the process when it is still there after four minutes: a test that hangs has failed.
class Watchdog {
 public:
  Watchdog();
  ~Watchdog();

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  bool over_ = false;  // guarded by mu_
  std::thread thread_;
};

/// Loud sound without a pause, s16 mono, never twice the same.
std::vector<std::byte> Speech(int64_t samples, uint32_t seed = 1);
std::vector<std::byte> Silence(int64_t samples);
std::vector<std::byte> Noise(size_t bytes, uint32_t seed = 1);
std::vector<std::byte> operator+(std::vector<std::byte> a, const std::vector<std::byte>& b);

/// A frame that came out.
struct Shown {
  int64_t index = 0;
  uint64_t utterance = 0;
  bool speaking = false;
  int64_t background = 0;
  uint64_t hash = 0;  ///< of every pixel
  size_t sound_bytes = 0;
  friend bool operator==(const Shown&, const Shown&) = default;
};
void PrintTo(const Shown& shown, std::ostream* out);
Shown Describe(const Frame& frame);
uint64_t HashOf(const PictureView& packed);

/// All that a session gave until its end.
struct Played {
  std::vector<Shown> frames;
  std::vector<std::byte> sound;
  std::vector<std::string> log;  ///< "started 1", "finished 1 at 640", "cut 1 at 640", "warning .."
  Status status;
  std::vector<uint64_t> hashes() const;
  std::vector<int64_t> backgrounds() const;
};
using FrameLook = std::function<void(const Frame&)>;

/// "started 1" and so on; empty for a frame.
std::string LogLine(const Event& event);
/// Reads one event into `played`; false at the end or a failure.
bool ReadOne(Session& session, Played* played, const FrameLook& look = {});
Played ReadAll(Session& session, const FrameLook& look = {});
/// Writes `bytes` as utterance 1 in pieces from a second thread, ends, finishes, and reads all.
Played Play(Session& session, std::span<const std::byte> bytes, size_t piece_bytes = SIZE_MAX,
            const FrameLook& look = {});

}  // namespace lipcast::pipeline
