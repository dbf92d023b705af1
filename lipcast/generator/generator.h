#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lipcast/avatar/manifest.h"
#include "lipcast/avatar/mouth_layout.h"
#include "lipcast/avatar/package_files.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"
#include "lipcast/generator/feature_cache.h"
#include "lipcast/inference/session.h"

namespace lipcast::generator {

/// How many features of a whole file the original makes.
enum class ReferenceEnd {
  kByTime,        ///< SyncTalk_2D: by the duration, rounding included; the last window slides back
  kWholeWindows,  ///< Wav2Lip: of the windows that fit, and one that slides back
  kHubert,        ///< Ultralight: of whole pairs of 20 ms tokens
  kWenet,         ///< Ultralight: until a window reaches the end of the sound
};

/// What one window of the encoder is cut from.
enum class WindowOf { kMel, kSamples };

/// Which feature rows one frame is drawn from, in the model's own time. Source: docs/numerics.md 2.
/// Rows are [edge, feature 0, feature 1, ..., feature n - 1, edge]; frame i takes rows
/// [i - rows_before, i + rows_after], those outside being zero.
struct AudioContext {
  Rational fps{25, 1};  ///< frames and features per second
  WindowOf window_of = WindowOf::kMel;
  int mel_bands = 80;      ///< kMel: a window is [mel_bands][window_frames] and gives one feature
  int window_frames = 16;  ///< mel frames of one window
  /// kSamples: a window is [window_samples] at 16 kHz and gives window_features in a row. The
  /// first of them is of the frame that begins lead_samples after the window.
  int64_t window_samples = 0, lead_samples = 0;
  int window_features = 1;
  int feature_floats = 512;  ///< one row
  int rows_before = 8;
  int rows_after = 7;
  bool copied_edges = true;  ///< the edge rows are copies of their neighbours; else zero
  ReferenceEnd reference_end = ReferenceEnd::kByTime;

  int rows() const { return rows_before + rows_after + 1; }
  int64_t floats() const { return static_cast<int64_t>(rows()) * feature_floats; }
  int64_t window_floats() const {
    return window_of == WindowOf::kSamples ? window_samples
                                           : static_cast<int64_t>(mel_bands) * window_frames;
  }
  /// The feature that frame i waits for: row r holds feature r - 1.
  int64_t last_window(int64_t frame) const { return frame + rows_after - 1; }
};

/// The networks of one avatar: sound in, mouth picture out. Immutable, shared by every session.
/// Shape:  all float32, contiguous, batch first.
/// Thread: any number of callers at once.
class Generator {
 public:
  virtual ~Generator() = default;
  virtual const avatar::MouthLayout& layout() const = 0;
  virtual const AudioContext& context() const = 0;
  virtual inference::Provider provider() const = 0;
  /// What draws: a wanted variant that cannot run here (a device, no budget) is the whole network.
  virtual avatar::GeneratorVariant variant() const { return avatar::GeneratorVariant::kFull; }
  /// The most frames worth running at once: the model's own where it is fixed, 1 on a CPU.
  virtual int64_t preferred_batch() const = 0;

  /// windows [n][bands][window_frames], band-major, or [n][window_samples] -> features
  /// [n][window_features][feature_floats].
  virtual Status Encode(int64_t n, std::span<const float> windows,
                        std::span<float> features) const = 0;
  /// pictures [n][6][S][S] and contexts [n][rows][feature_floats] -> mouths [n][3][S][S], 0..1.
  /// frames [n]: the avatar frame that a picture shows, always the same picture for the same frame;
  /// -1: none, nothing of it is kept.
  virtual Status Generate(std::span<const int64_t> frames, std::span<const float> pictures,
                          std::span<const float> contexts, std::span<float> mouths) const = 0;
  /// Of what is kept of the pictures; none where the whole network draws every frame.
  virtual std::optional<FeatureCache::Stats> feature_stats() const = 0;
};

/// The generator in two parts: see SplitNetwork. File names.
struct SplitFiles {
  std::string image, audio;
};

/// Its twin in 8 bits: of the whole, or of the audio part that goes with `image`. File names.
struct Int8Files {
  std::string model;
  std::optional<std::string> image;
};

/// What a family is built from; filled from the avatar's manifest. Only the files that draw are
/// read, each when its turn comes: a twin that is not wanted costs no time.
struct GeneratorFiles {
  std::string family;      ///< "synctalk"
  std::string audio_kind;  ///< "ave"
  avatar::MouthLayout layout;
  std::string audio_encoder;  ///< a file's name; empty for "mel"
  std::string generator;
  std::optional<SplitFiles> split;
  std::optional<Int8Files> int8;
  avatar::GeneratorVariant variant = avatar::GeneratorVariant::kFull;  ///< one that is there
  /// A file's checked bytes, by its name; none: empty ones, for a backend that knows its networks
  /// by their names.
  std::function<Result<avatar::SharedBytes>(const std::string&)> read = nullptr;

  /// A network of these files.
  Result<std::shared_ptr<const inference::Session>> Network(
      const std::string& name, const inference::Backend& backend,
      const inference::SessionOptions& options) const;
};

/// Loads the networks, checks their shapes against the family and the layout, and runs each once.
Result<std::shared_ptr<const Generator>> LoadGenerator(const GeneratorFiles& files,
                                                       const inference::Backend& backend,
                                                       const inference::SessionOptions& options,
                                                       const FeatureCacheOptions& features = {});

/// The families this build knows, for error texts and `doctor`.
std::vector<std::string> FamilyNames();

// Each family lives in a file of its own and is listed once, in generator.cc.
Result<std::shared_ptr<const Generator>> LoadSynctalk(const GeneratorFiles& files,
                                                      const inference::Backend& backend,
                                                      const inference::SessionOptions& options,
                                                      const FeatureCacheOptions& features);
Result<std::shared_ptr<const Generator>> LoadUltralight(const GeneratorFiles& files,
                                                        const inference::Backend& backend,
                                                        const inference::SessionOptions& options,
                                                        const FeatureCacheOptions& features);
Result<std::shared_ptr<const Generator>> LoadWav2Lip(const GeneratorFiles& files,
                                                     const inference::Backend& backend,
                                                     const inference::SessionOptions& options,
                                                     const FeatureCacheOptions& features);

}  // namespace lipcast::generator
