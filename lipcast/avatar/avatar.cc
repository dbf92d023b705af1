#include "lipcast/avatar/avatar.h"

#include <fmt/format.h>

#include <algorithm>

#include "lipcast/avatar/package_path.h"
#include "lipcast/avatar/sha256.h"

namespace lipcast::avatar {
namespace {

constexpr int64_t kMaxImageBytes = int64_t{256} << 20;

std::string_view TextOf(const std::vector<uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Status Refuse(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

/// kInvalidArgument unless what the decoder found is what the manifest says.
Status CheckVideo(const FrameDecoder& video, const Manifest& manifest) {
  const auto differs = [](std::string_view field, const auto& found, const auto& wanted) {
    return Refuse(fmt::format("{} = {}: want {} as in avatar.json", field, found, wanted));
  };
  if (video.width() != manifest.width || video.height() != manifest.height) {
    return differs("size of an upright frame", fmt::format("{}x{}", video.width(), video.height()),
                   fmt::format("{}x{}", manifest.width, manifest.height));
  }
  if (video.frame_count() != manifest.frame_count) {
    return differs("frame_count", video.frame_count(), manifest.frame_count);
  }
  if (!(video.fps() == manifest.fps)) {
    return differs("fps", video.fps().ToString(), manifest.fps.ToString());
  }
  if (video.format() != PixelFormat::kI420 && video.format() != PixelFormat::kBgra32) {
    return Status(Code::kInternal, "its decoder gives neither I420 nor BGR with alpha");
  }
  return Status();
}

/// One of three equal channels.
Result<Picture> GrayOf(const Picture& picture) {
  if (picture.format() != PixelFormat::kBgr24 && picture.format() != PixelFormat::kBgra32) {
    return Status(Code::kInternal, "its decoder gives neither BGR nor BGR with alpha");
  }
  const int pixel_bytes = picture.format() == PixelFormat::kBgra32 ? 4 : 3;
  LC_ASSIGN_OR_RETURN(Picture gray,
                      Picture::Create(PixelFormat::kGray8, picture.width(), picture.height()));
  const int64_t pixels = int64_t{picture.width()} * picture.height();
  for (int64_t i = 0; i < pixels; ++i) {
    const uint8_t* const bgr = picture.data() + i * pixel_bytes;
    if (bgr[0] != bgr[1] || bgr[0] != bgr[2]) {
      return Refuse(fmt::format("pixel ({}, {}) has a colour: want gray", i % picture.width(),
                                i / picture.width()));
    }
    gray.data()[i] = bgr[0];
  }
  return gray;
}

}  // namespace

Result<Manifest> ReadManifest(const PackageFiles& files) {
  LC_ASSIGN_OR_RETURN(const SharedBytes text, files.Read(kManifestName, kMaxManifestBytes));
  auto manifest = ParseManifest(TextOf(*text));
  if (!manifest.ok()) return manifest.status().Prefixed(kManifestName);
  return manifest;
}

Result<std::shared_ptr<const Avatar>> Avatar::Load(const std::filesystem::path& path,
                                                   const FrameCodecs& codecs,
                                                   const LoadOptions& options) {
  std::shared_ptr<Avatar> avatar(new Avatar);
  avatar->path_ = path;
  avatar->verify_hashes_ = options.verify_hashes;
  avatar->networks_when_read_ = options.networks_when_read;
  LC_RETURN_IF_ERROR(avatar->Named(avatar->Fill(codecs, options)));
  return std::shared_ptr<const Avatar>(std::move(avatar));
}

Status Avatar::Named(const Status& status) const {
  return status.Prefixed(fmt::format("avatar '{}'", ShownText(Utf8FromPath(path_))));
}

Status Avatar::Fill(const FrameCodecs& codecs, const LoadOptions& options) {
  LC_ENSURE(codecs.open_video != nullptr && codecs.decode_image != nullptr);
  LC_ASSIGN_OR_RETURN(files_, PackageFiles::Open(path_));
  LC_ASSIGN_OR_RETURN(manifest_, ReadManifest(*files_));
  LC_RETURN_IF_ERROR(CheckFiles());
  LC_ASSIGN_OR_RETURN(const SharedBytes boxes, files_->Read(manifest_.boxes, kMaxBoxesBytes));
  auto parsed = ParseBoxes(TextOf(*boxes));
  if (!parsed.ok()) return parsed.status().Prefixed(manifest_.boxes);
  boxes_ = *std::move(parsed);
  LC_RETURN_IF_ERROR(CheckBoxes(boxes_, manifest_.frame_count, manifest_.width, manifest_.height)
                         .Prefixed(manifest_.boxes));
  LC_RETURN_IF_ERROR(ReadMaskImage(codecs));
  LC_RETURN_IF_ERROR(OpenFrames(codecs, options));
  WriteNotes();
  return Status();
}

Status Avatar::CheckHash(std::string_view name, std::string_view found) const {
  const std::string& wanted = manifest_.files.find(name)->second.sha256;
  if (found == wanted) return Status();
  return Refuse(fmt::format("{}: sha256 = {}: want {} as in avatar.json", ShownText(name, 200),
                            found, wanted));
}

Status Avatar::CheckFiles() const {
  // All sizes before the first hash: a half-copied package is told at once.
  for (const auto& [name, entry] : manifest_.files) {
    LC_ASSIGN_OR_RETURN(const int64_t bytes, files_->SizeBytes(name));
    if (bytes != entry.bytes) {
      return Refuse(fmt::format("{}: bytes = {}: want {} as in avatar.json", ShownText(name, 200),
                                bytes, entry.bytes));
    }
  }
  if (!verify_hashes_) return Status();
  const std::vector<std::string> later =
      networks_when_read_ ? manifest_.Networks() : std::vector<std::string>();
  for (const auto& [name, entry] : manifest_.files) {
    if (std::ranges::find(later, name) != later.end()) continue;
    LC_ASSIGN_OR_RETURN(const std::string sha256, files_->Sha256(name));
    LC_RETURN_IF_ERROR(CheckHash(name, sha256));
  }
  return Status();
}

Status Avatar::ReadMaskImage(const FrameCodecs& codecs) {
  if (!manifest_.generator.mask_image) return Status();
  const std::string& name = *manifest_.generator.mask_image;
  LC_ASSIGN_OR_RETURN(const SharedBytes bytes, files_->Read(name, kMaxImageBytes));
  auto picture = codecs.decode_image(*bytes);
  if (!picture.ok()) return picture.status().Prefixed(name);
  const int side_px = manifest_.generator.mouth.inner_px;
  if (picture->width() != side_px || picture->height() != side_px) {
    return Refuse(fmt::format("{} = {}x{}: want {}x{} (generator.inner_px)", name, picture->width(),
                              picture->height(), side_px, side_px));
  }
  auto gray = GrayOf(*picture);
  if (!gray.ok()) return gray.status().Prefixed(name);
  mask_image_ = *std::move(gray);
  return Status();
}

Status Avatar::OpenFrames(const FrameCodecs& codecs, const LoadOptions& options) {
  FrameStoreConfig config;
  config.frame_count = manifest_.frame_count;
  config.width = manifest_.width;
  config.height = manifest_.height;
  config.budget_bytes = options.frame_budget_bytes;
  config.max_decoders = options.max_decoders;
  LC_RETURN_IF_ERROR(manifest_.frames.kind == FramesKind::kVideo ? OpenVideo(codecs, config)
                                                                 : OpenImages(codecs, config));
  return NamedFrames(frames_->Frame(0).status());
}

Status Avatar::NamedFrames(const Status& status) const {
  return manifest_.frames.kind == FramesKind::kVideo ? status.Prefixed(manifest_.frames.path)
                                                     : status;
}

Status Avatar::OpenVideo(const FrameCodecs& codecs, const FrameStoreConfig& config) {
  LC_ASSIGN_OR_RETURN(const FileSource source, files_->Source(manifest_.frames.path));
  VideoFrames video;
  video.compressed_bytes = source.bytes == nullptr ? 0 : static_cast<int64_t>(source.bytes->size());
  video.open = [this, open = codecs.open_video, source]() -> Result<std::unique_ptr<FrameDecoder>> {
    LC_ASSIGN_OR_RETURN(std::unique_ptr<FrameDecoder> decoder, open(source));
    LC_RETURN_IF_ERROR(CheckVideo(*decoder, manifest_));
    return decoder;
  };
  auto store = FrameStore::Create(config, std::move(video));
  if (!store.ok()) return NamedFrames(store.status());
  frames_ = *std::move(store);
  return Status();
}

Status Avatar::OpenImages(const FrameCodecs& codecs, const FrameStoreConfig& config) {
  for (int64_t i = 0; i < manifest_.frame_count; ++i) {
    LC_RETURN_IF_ERROR(files_->SizeBytes(manifest_.ImageName(i)).status());
  }
  // The number that follows would be a frame that the manifest forgot.
  if (const std::string next = manifest_.ImageName(manifest_.frame_count); files_->Exists(next)) {
    return Refuse(fmt::format("{}: want {} images only (frame_count in avatar.json)", next,
                              manifest_.frame_count));
  }
  ImageFrames images;
  images.name = [this](int64_t frame) { return manifest_.ImageName(frame); };
  images.read = [this](int64_t frame) {
    return files_->Read(manifest_.ImageName(frame), kMaxImageBytes);
  };
  images.decode = codecs.decode_image;
  auto store = FrameStore::Create(config, std::move(images));
  if (!store.ok()) return NamedFrames(store.status());
  frames_ = *std::move(store);
  return Status();
}

void Avatar::WriteNotes() {
  if (std::string note = NoFaceNote(boxes_); !note.empty()) notes_.push_back(std::move(note));
  const int64_t fit = frames_->frames_that_fit();
  const int64_t group = frames_->longest_group();
  if (manifest_.order == Order::kBounce && group > 4 * fit) {
    notes_.push_back(
        fmt::format("key frames stand up to {} frames apart and the frame budget holds {}: backward"
                    " play costs about {} decodes a frame",
                    group, fit, 1 + group / (2 * fit)));
  }
  if (manifest_.licence.empty()) notes_.emplace_back("licence is not stated");
}

std::optional<Rect> Avatar::box(int64_t frame) const {
  if (frame < 0 || frame >= manifest_.frame_count) return std::nullopt;
  return boxes_[static_cast<size_t>(frame)];
}

Result<SharedPicture> Avatar::Frame(int64_t frame) const {
  auto picture = frames_->Frame(frame);
  if (!picture.ok()) return Named(NamedFrames(picture.status()));
  return picture;
}

Result<SharedBytes> Avatar::ModelBytes(std::string_view name) const {
  if (!manifest_.files.contains(name)) {
    return Named(Status(Code::kNotFound, fmt::format("'{}': want a file that avatar.json lists",
                                                     ShownText(name, 80))));
  }
  auto bytes = files_->Read(name);
  if (!bytes.ok()) return Named(bytes.status());
  if (verify_hashes_) {
    LC_ASSIGN_OR_RETURN(const std::string sha256, Sha256Of(**bytes));
    LC_RETURN_IF_ERROR(Named(CheckHash(name, sha256)));
  }
  return bytes;
}

Result<FileSource> Avatar::Source(std::string_view name) const {
  if (!manifest_.files.contains(name)) {
    return Named(Status(Code::kNotFound, fmt::format("'{}': want a file that avatar.json lists",
                                                     ShownText(name, 80))));
  }
  auto source = files_->Source(name);
  if (!source.ok()) return Named(source.status());
  return source;
}

}  // namespace lipcast::avatar
