#include "lipcast/avatar/manifest.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "lipcast/avatar/json_reader.h"
#include "lipcast/avatar/package_path.h"

namespace lipcast::avatar {
namespace {

using nlohmann::json;

template <typename Enum>
using Named = std::pair<std::string_view, Enum>;

constexpr std::array kOrders{Named<Order>{"loop", Order::kLoop},
                             Named<Order>{"bounce", Order::kBounce},
                             Named<Order>{"hold", Order::kHold}};
constexpr std::array kFramesKinds{Named<FramesKind>{"video", FramesKind::kVideo},
                                  Named<FramesKind>{"images", FramesKind::kImages}};
constexpr std::array kFamilies{Named<GeneratorFamily>{"synctalk", GeneratorFamily::kSyncTalk},
                               Named<GeneratorFamily>{"ultralight", GeneratorFamily::kUltralight},
                               Named<GeneratorFamily>{"wav2lip", GeneratorFamily::kWav2Lip}};
constexpr std::array kAudioKinds{
    Named<AudioKind>{"ave", AudioKind::kAve}, Named<AudioKind>{"hubert", AudioKind::kHubert},
    Named<AudioKind>{"wenet", AudioKind::kWenet}, Named<AudioKind>{"mel", AudioKind::kMel}};
constexpr std::array kPaddings{Named<MelPadding>{"zero", MelPadding::kZero},
                               Named<MelPadding>{"reflect", MelPadding::kReflect}};
constexpr std::array kVariants{Named<GeneratorVariant>{"full", GeneratorVariant::kFull},
                               Named<GeneratorVariant>{"split", GeneratorVariant::kSplit},
                               Named<GeneratorVariant>{"int8", GeneratorVariant::kInt8}};
constexpr std::array kMatrices{Named<ColorMatrix>{"bt709", ColorMatrix::kBt709}};
constexpr std::array kRanges{Named<ColorRange>{"limited", ColorRange::kLimited}};

template <typename Enum, size_t n>
std::string_view NameIn(const std::array<Named<Enum>, n>& names, Enum value) {
  for (const auto& [name, named] : names) {
    if (named == value) return name;
  }
  return "unknown";
}

/// The one place that says which family hears what.
bool Hears(GeneratorFamily family, AudioKind kind) {
  switch (family) {
    case GeneratorFamily::kSyncTalk:
      return kind == AudioKind::kAve;
    case GeneratorFamily::kUltralight:
      return kind == AudioKind::kHubert || kind == AudioKind::kWenet;
    case GeneratorFamily::kWav2Lip:
      return kind == AudioKind::kMel;
  }
  return false;
}

Status Refuse(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

/// A field that names a file of the package.
std::string FileField(ObjectReader& object, std::string_view key, Status* status) {
  std::string name = object.String(key, 1, kMaxPackagePathBytes);
  if (status->ok()) *status = CheckPackagePath(name).Prefixed(object.Where(key));
  return name;
}

Rational RateField(ObjectReader& parent, std::string_view key, Status* status) {
  constexpr int64_t kMaxTerm = 1'000'000;
  const std::string where = parent.Where(key);
  ObjectReader object(parent.Member(key), where, {"num", "den"}, status);
  Rational rate;
  rate.num = object.Int("num", 1, kMaxTerm);
  rate.den = object.Int("den", 1, kMaxTerm);
  if (status->ok() && (rate.num < rate.den || rate.num > 120 * rate.den)) {
    *status = Refuse(fmt::format("{} = {}/{}: want 1..120", where, rate.num, rate.den));
  }
  return rate;
}

FrameFiles FramesField(ObjectReader& parent, Status* status) {
  FrameFiles frames;
  ObjectReader object(parent.Member("frames"), "frames", {"kind", "path", "first"}, status);
  frames.kind = object.Choice<FramesKind>("kind", kFramesKinds);
  frames.path = FileField(object, "path", status);
  if (!status->ok()) return frames;
  if (frames.kind == FramesKind::kVideo) {
    if (object.Has("first"))
      *status = Refuse("frames.first: want it only where kind is \"images\"");
    return frames;
  }
  if (object.Has("first")) frames.first = object.Int("first", 0, 1'000'000'000);
  auto pattern = ImagePattern::Parse(frames.path);
  if (!pattern.ok()) {
    *status = pattern.status().Prefixed("frames.path");
  } else {
    frames.pattern = *std::move(pattern);
  }
  return frames;
}

std::string Sha256Field(ObjectReader& object, std::string_view key, Status* status) {
  std::string sha256 = object.String(key, 64, 64);
  if (status->ok() && sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
    *status = WrongValue(object.Where(key), sha256, "64 lower-case hex digits");
  }
  return sha256;
}

SplitSpec SplitField(ObjectReader& parent, Status* status) {
  ObjectReader object(parent.Member("split"), "generator.split",
                      {"image", "audio", "source_sha256"}, status);
  SplitSpec split;
  split.image = FileField(object, "image", status);
  split.audio = FileField(object, "audio", status);
  split.source_sha256 = Sha256Field(object, "source_sha256", status);
  return split;
}

Int8Spec Int8Field(ObjectReader& parent, Status* status) {
  ObjectReader object(parent.Member("int8"), "generator.int8", {"model", "image", "source_sha256"},
                      status);
  Int8Spec int8;
  int8.model = FileField(object, "model", status);
  if (object.Has("image")) int8.image = FileField(object, "image", status);
  int8.source_sha256 = Sha256Field(object, "source_sha256", status);
  return int8;
}

GeneratorSpec GeneratorField(ObjectReader& parent, Status* status) {
  GeneratorSpec generator;
  ObjectReader object(parent.Member("generator"), "generator",
                      {"family", "model", "inner_px", "border_px", "mask", "feather_px",
                       "mask_image", "split", "int8", "variant"},
                      status);
  generator.family = object.Choice<GeneratorFamily>("family", kFamilies);
  generator.model = FileField(object, "model", status);
  MouthLayout& mouth = generator.mouth;
  mouth.masked_first = generator.family == GeneratorFamily::kWav2Lip;
  mouth.kernel =
      generator.family == GeneratorFamily::kSyncTalk ? ResizeKernel::kCubic : ResizeKernel::kLinear;
  mouth.inner_px = static_cast<int>(object.Int("inner_px", 16, 2048));
  mouth.border_px = static_cast<int>(object.Int("border_px", 0, 256));
  if (object.Has("feather_px")) {
    mouth.feather_px = static_cast<int>(object.Int("feather_px", 0, mouth.inner_px / 2));
  }
  ObjectReader mask(object.Member("mask"), "generator.mask", {"x", "y", "width", "height"}, status);
  mouth.mask.x0 = static_cast<int>(mask.Int("x", 0, 2047));
  mouth.mask.y0 = static_cast<int>(mask.Int("y", 0, 2047));
  mouth.mask.x1 = mouth.mask.x0 + static_cast<int>(mask.Int("width", 1, 2048));
  mouth.mask.y1 = mouth.mask.y0 + static_cast<int>(mask.Int("height", 1, 2048));
  if (object.Has("mask_image")) generator.mask_image = FileField(object, "mask_image", status);
  if (object.Has("split")) generator.split = SplitField(object, status);
  if (object.Has("int8")) generator.int8 = Int8Field(object, status);
  generator.variant = generator.split ? GeneratorVariant::kSplit : GeneratorVariant::kFull;
  if (object.Has("variant")) {
    generator.variant = object.Choice<GeneratorVariant>("variant", kVariants);
  }
  return generator;
}

AudioSpec AudioField(ObjectReader& parent, Status* status) {
  AudioSpec audio;
  ObjectReader object(parent.Member("audio"), "audio", {"kind", "model", "padding", "fps"}, status);
  audio.kind = object.Choice<AudioKind>("kind", kAudioKinds);
  audio.padding = audio.kind == AudioKind::kMel ? MelPadding::kReflect : MelPadding::kZero;
  if (object.Has("padding")) audio.padding = object.Choice<MelPadding>("padding", kPaddings);
  audio.fps = RateField(object, "fps", status);
  if (audio.kind != AudioKind::kMel) {
    audio.model = FileField(object, "model", status);
  } else if (status->ok() && object.Has("model")) {
    *status = Refuse("audio.model: want none where kind is \"mel\", which needs no encoder");
  }
  return audio;
}

FileEntry FileEntryOf(const json& value, const std::string& where, Status* status) {
  FileEntry entry;
  ObjectReader object(value, where, {"sha256", "bytes"}, status);
  entry.sha256 = Sha256Field(object, "sha256", status);
  entry.bytes = object.Int("bytes", 0, kMaxPackageFileBytes);
  return entry;
}

std::map<std::string, FileEntry, std::less<>> FilesField(ObjectReader& parent, Status* status) {
  std::map<std::string, FileEntry, std::less<>> files;
  const json& list = parent.Member("files");
  if (!status->ok()) return files;
  if (!list.is_object()) {
    *status = WrongValue("files", list, R"(an object {"name": {"sha256": .., "bytes": ..}, ..})");
    return files;
  }
  if (list.size() > static_cast<size_t>(kMaxListedFiles)) {
    *status =
        Refuse(fmt::format("files has {} entries: want at most {}", list.size(), kMaxListedFiles));
    return files;
  }
  for (const auto& [name, value] : list.items()) {
    *status = CheckPackagePath(name).Prefixed("files");
    if (status->ok() && name == kManifestName) {
      *status = Refuse("files.\"avatar.json\": want every file but the manifest itself");
    }
    if (status->ok()) files[name] = FileEntryOf(value, fmt::format("files.\"{}\"", name), status);
    if (!status->ok()) return files;
  }
  return files;
}

}  // namespace

std::string_view Name(Order order) { return NameIn(kOrders, order); }
std::string_view Name(FramesKind kind) { return NameIn(kFramesKinds, kind); }
std::string_view Name(GeneratorFamily family) { return NameIn(kFamilies, family); }
std::string_view Name(AudioKind kind) { return NameIn(kAudioKinds, kind); }
std::string_view Name(MelPadding padding) { return NameIn(kPaddings, padding); }
std::string_view Name(GeneratorVariant variant) { return NameIn(kVariants, variant); }

std::optional<GeneratorVariant> ParseVariant(std::string_view name) {
  for (const auto& [known, variant] : kVariants) {
    if (known == name) return variant;
  }
  return std::nullopt;
}

Rational ModelRate(AudioKind kind) { return {kind == AudioKind::kWenet ? 20 : 25, 1}; }

std::vector<std::string> Manifest::Networks() const {
  std::vector<std::string> names = {generator.model};
  if (!audio.model.empty()) names.push_back(audio.model);
  if (generator.split) names.insert(names.end(), {generator.split->image, generator.split->audio});
  if (generator.int8) names.push_back(generator.int8->model);
  if (generator.int8 && generator.int8->image) names.push_back(*generator.int8->image);
  return names;
}

Status Manifest::Validate() const {
  LC_RETURN_IF_ERROR(generator.mouth.Validate());
  if (idle.first < 0 || idle.count < 1 || idle.first > frame_count - idle.count) {
    return Refuse(fmt::format("idle = frames {}..{}: want at least one, all in 0..{}", idle.first,
                              idle.first + idle.count - 1, frame_count - 1));
  }
  if (!Hears(generator.family, audio.kind)) {
    return Refuse(
        fmt::format("audio.kind = \"{}\": want a kind that generator.family \"{}\" hears"
                    " (synctalk: ave; ultralight: hubert, wenet; wav2lip: mel)",
                    Name(audio.kind), Name(generator.family)));
  }
  if (const Rational rate = ModelRate(audio.kind); !(audio.fps == rate)) {
    return Refuse(fmt::format("audio.fps = {}: want {}, the rate of the model of audio.kind \"{}\"",
                              audio.fps.ToString(), rate.ToString(), Name(audio.kind)));
  }
  std::vector<std::pair<std::string_view, std::string_view>> needed = {
      {"boxes", boxes}, {"generator.model", generator.model}};
  if (frames.kind == FramesKind::kVideo) needed.emplace_back("frames.path", frames.path);
  if (generator.mask_image) needed.emplace_back("generator.mask_image", *generator.mask_image);
  if (audio.kind != AudioKind::kMel) needed.emplace_back("audio.model", audio.model);
  if (generator.split) {
    needed.emplace_back("generator.split.image", generator.split->image);
    needed.emplace_back("generator.split.audio", generator.split->audio);
  }
  if (generator.int8) {
    needed.emplace_back("generator.int8.model", generator.int8->model);
    if (generator.int8->image) {
      needed.emplace_back("generator.int8.image", *generator.int8->image);
    }
  }
  if (!generator.Has(generator.variant)) {
    const std::string_view wanted = Name(generator.variant);
    return Refuse(
        fmt::format("generator.variant = \"{}\": want generator.{} beside it", wanted, wanted));
  }
  for (const auto& [field, file] : needed) {
    if (!files.contains(file)) {
      return Refuse(fmt::format("{} = \"{}\": want it listed in files, with sha256 and bytes",
                                field, ShownText(file, 80)));
    }
  }
  const std::string& whole = files.find(generator.model)->second.sha256;
  const auto same_source = [&](std::string_view field, const std::string& source,
                               std::string_view what) {
    if (source == whole) return Status();
    return Refuse(
        fmt::format("generator.{}.source_sha256 = {}: want {}, that of"
                    " generator.model: {} of another network",
                    field, source, whole, what));
  };
  if (generator.split) {
    LC_RETURN_IF_ERROR(same_source("split", generator.split->source_sha256, "the parts are"));
  }
  if (generator.int8) {
    LC_RETURN_IF_ERROR(same_source("int8", generator.int8->source_sha256, "the twin is"));
  }
  return Status();
}

Result<Manifest> ParseManifest(std::string_view text) {
  if (text.size() > kMaxManifestBytes) {
    return Refuse(fmt::format("has {} bytes: want at most {}", text.size(), kMaxManifestBytes));
  }
  LC_ASSIGN_OR_RETURN(const json root, ParseJson(text));
  // The version first: a later schema is told apart from a mistake in this one.
  if (root.is_object() && root.contains("schema_version") && root["schema_version"] != 1) {
    return WrongValue("schema_version", root["schema_version"], "1, all that this program reads");
  }
  Status status;
  ObjectReader object(root, "",
                      {"format", "schema_version", "name", "title", "fps", "frame_count", "width",
                       "height", "order", "color", "frames", "boxes", "idle", "generator", "audio",
                       "files", "provenance", "licence"},
                      &status);
  constexpr std::array kFormats{Named<int>{"lipcast-avatar", 1}};
  object.Choice<int>("format", kFormats);
  object.Int("schema_version", 1, 1);
  Manifest manifest;
  manifest.name = object.String("name", 1, 200);
  if (status.ok() && manifest.name.find('/') != std::string::npos) {
    status = WrongValue("name", manifest.name, "a name without '/'");
  }
  if (object.Has("title")) manifest.title = object.String("title", 0, 1000);
  manifest.fps = RateField(object, "fps", &status);
  manifest.frame_count = object.Int("frame_count", 1, kMaxFrames);
  manifest.width = static_cast<int>(object.Int("width", 1, kMaxSidePx));
  manifest.height = static_cast<int>(object.Int("height", 1, kMaxSidePx));
  manifest.order = object.Choice<Order>("order", kOrders);
  if (object.Has("color")) {
    ObjectReader color(object.Member("color"), "color", {"matrix", "range"}, &status);
    manifest.matrix = color.Choice<ColorMatrix>("matrix", kMatrices);
    manifest.range = color.Choice<ColorRange>("range", kRanges);
  }
  manifest.frames = FramesField(object, &status);
  manifest.boxes = FileField(object, "boxes", &status);
  manifest.idle = {0, manifest.frame_count};
  if (object.Has("idle")) {
    ObjectReader idle(object.Member("idle"), "idle", {"first", "count"}, &status);
    manifest.idle.first = idle.Int("first", 0, kMaxFrames - 1);
    manifest.idle.count = idle.Int("count", 1, kMaxFrames);
  }
  manifest.generator = GeneratorField(object, &status);
  manifest.audio = AudioField(object, &status);
  manifest.files = FilesField(object, &status);
  if (object.Has("provenance")) manifest.provenance = object.String("provenance", 0, 10'000);
  if (object.Has("licence")) manifest.licence = object.String("licence", 0, 1000);
  LC_RETURN_IF_ERROR(status);
  LC_RETURN_IF_ERROR(manifest.Validate());
  return manifest;
}

}  // namespace lipcast::avatar
