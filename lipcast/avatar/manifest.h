#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lipcast/avatar/boxes.h"
#include "lipcast/avatar/frame_order.h"
#include "lipcast/avatar/image_pattern.h"
#include "lipcast/avatar/mouth_layout.h"
#include "lipcast/base/rational.h"
#include "lipcast/base/status.h"

namespace lipcast::avatar {

inline constexpr std::string_view kManifestName = "avatar.json";
inline constexpr size_t kMaxManifestBytes = size_t{16} << 20;
inline constexpr int64_t kMaxPackageFileBytes = int64_t{1} << 40;
inline constexpr int64_t kMaxListedFiles = 200'000;

enum class FramesKind { kVideo, kImages };
enum class GeneratorFamily { kSyncTalk, kUltralight, kWav2Lip };
/// What the model hears. kMel has no encoder of its own: the generator takes mel windows.
enum class AudioKind { kAve, kHubert, kWenet, kMel };
enum class MelPadding { kZero, kReflect };
/// Which of its networks an avatar is drawn with.
enum class GeneratorVariant {
  kFull,   ///< the whole, as it was trained
  kSplit,  ///< its two parts
  kInt8,   ///< the twin in 8 bits
};
/// The only colour of version 1: what PixelFormat::kI420 means. Import converts.
enum class ColorMatrix { kBt709 };
enum class ColorRange { kLimited };

std::string_view Name(Order order);
std::string_view Name(FramesKind kind);
std::string_view Name(GeneratorFamily family);
std::string_view Name(AudioKind kind);
std::string_view Name(MelPadding padding);
std::string_view Name(GeneratorVariant variant);
/// "full", "split", "int8"; none for every other text.
std::optional<GeneratorVariant> ParseVariant(std::string_view name);

/// Rate the models of a kind were trained at, frames/s: 25, WeNet 20.
Rational ModelRate(AudioKind kind);

struct FrameFiles {
  FramesKind kind = FramesKind::kVideo;
  std::string path;      ///< the video, or the pattern of the images
  int64_t first = 0;     ///< number in the name of image 0
  ImagePattern pattern;  ///< of kImages
};

/// Frames in which the person is silent and the mouth is closed.
struct IdleRange {
  int64_t first = 0;
  int64_t count = 0;
};

/// The generator cut in two: what only the picture decides, and what needs the sound.
struct SplitSpec {
  std::string image, audio;   ///< files of the package
  std::string source_sha256;  ///< of the GeneratorSpec::model they were made of
};

/// A twin whose layers compute in 8 bits (ONNX QDQ).
struct Int8Spec {
  std::string model;                 ///< of the whole, or of the audio part that goes with `image`
  std::optional<std::string> image;  ///< image part; may be that of SplitSpec
  std::string source_sha256;         ///< of the GeneratorSpec::model it was made of
};

struct GeneratorSpec {
  GeneratorFamily family = GeneratorFamily::kSyncTalk;
  std::string model;                      ///< file of the package
  MouthLayout mouth;                      ///< masked_first and kernel follow from the family
  std::optional<std::string> mask_image;  ///< gray, inner_px square: weight of the redrawn pixels
  std::optional<SplitSpec> split;
  std::optional<Int8Spec> int8;
  GeneratorVariant variant = GeneratorVariant::kFull;  ///< left out: kSplit where there are parts

  bool Has(GeneratorVariant wanted) const {
    return wanted == GeneratorVariant::kFull ||
           (wanted == GeneratorVariant::kSplit ? !!split : !!int8);
  }
};

struct AudioSpec {
  AudioKind kind = AudioKind::kAve;
  std::string model;  ///< file of the package; empty for kMel
  MelPadding padding = MelPadding::kZero;
  Rational fps;  ///< rate of the model's features, equal to ModelRate(kind)
};

struct FileEntry {
  std::string sha256;  ///< 64 lower-case hex digits
  int64_t bytes = 0;
};

/// avatar.json of schema version 1: docs/avatar-format.md says what each field means.
struct Manifest {
  std::string name;
  std::string title;
  Rational fps;  ///< rate of the frames
  int64_t frame_count = 0;
  int width = 0, height = 0;
  Order order = Order::kLoop;
  ColorMatrix matrix = ColorMatrix::kBt709;
  ColorRange range = ColorRange::kLimited;
  FrameFiles frames;
  std::string boxes;  ///< file of the package
  IdleRange idle;
  GeneratorSpec generator;
  AudioSpec audio;
  std::map<std::string, FileEntry, std::less<>> files;  ///< by name in the package
  std::string provenance, licence;

  /// Name in the package of image `frame`, for FramesKind::kImages.
  std::string ImageName(int64_t frame) const { return frames.pattern.Name(frames.first + frame); }
  /// The files of every network that is named, those that do not draw too.
  std::vector<std::string> Networks() const;

  /// What no single field shows: the mouth, idle range, rates and family against each other, and
  /// that every file referred to is listed. ParseManifest has called it.
  Status Validate() const;
};

/// kInvalidArgument: "generator.border_px = -1: want 0..256". Unknown, missing and doubled keys,
/// wrong types, values out of range and paths that leave the package are refused.
Result<Manifest> ParseManifest(std::string_view json);

}  // namespace lipcast::avatar
