#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lipcast/avatar/boxes.h"
#include "lipcast/avatar/frame_decoder.h"
#include "lipcast/avatar/frame_store.h"
#include "lipcast/avatar/manifest.h"
#include "lipcast/avatar/package_files.h"
#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"

namespace lipcast::avatar {

struct LoadOptions {
  int64_t frame_budget_bytes = int64_t{512} << 20;  ///< decoded and compressed frames together
  bool verify_hashes = true;  ///< false: sizes are still checked, contents are not
  /// Networks are checked when ModelBytes reads them, each once: one that never draws costs
  /// nothing, and may be damaged.
  bool networks_when_read = false;
  int max_decoders = 4;  ///< of the video; each play head that is far from the others takes one
};

/// The manifest of a package, of which nothing else is looked at. kInvalidArgument as
/// ParseManifest; kNotFound, kDataLoss, kResourceExhausted from PackageFiles. No text of it holds a
/// path.
Result<Manifest> ReadManifest(const PackageFiles& files);

/// A loaded avatar package: checked, immutable, shared by all sessions that show it.
/// Thread: any. Memory: the frame budget, boxes (20 bytes a frame) and the mask image.
/// Errors: every one starts with "avatar '<path>': ".
class Avatar {
 public:
  /// Reads the manifest, checks every file it lists (presence, size, hash), boxes against the
  /// picture, the mask image, and that the frames agree with the manifest in number, size and rate;
  /// decodes the first frame. kInvalidArgument for what disagrees, naming file, field, both values;
  /// kNotFound, kDataLoss, kResourceExhausted from PackageFiles and FrameStore.
  static Result<std::shared_ptr<const Avatar>> Load(const std::filesystem::path& path,
                                                    const FrameCodecs& codecs,
                                                    const LoadOptions& options);

  Avatar(const Avatar&) = delete;
  Avatar& operator=(const Avatar&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const Manifest& manifest() const { return manifest_; }
  /// nullopt where the frame has no face, or there is no such frame.
  std::optional<Rect> box(int64_t frame) const;
  /// The frame's pixels: kI420 or kBgra32 from video, kBgr24 or kBgra32 from images.
  Result<SharedPicture> Frame(int64_t frame) const;
  /// Which frame stands at `step` >= 0 of endless play at manifest().fps.
  int64_t FrameAtStep(int64_t step) const {
    return FrameAt(manifest_.order, manifest_.frame_count, step);
  }
  /// A file that the manifest lists, e.g. manifest().generator.model; its hash is checked again.
  Result<SharedBytes> ModelBytes(std::string_view name) const;
  /// The same for a reader that wants a path: it has one when the package is a folder.
  Result<FileSource> Source(std::string_view name) const;
  /// kGray8, inner_px x inner_px: how much of the redrawn pixel shows, 255 = all.
  const std::optional<Picture>& mask_image() const { return mask_image_; }
  /// What its owner should know, one line each: "3 of 250 frames have no face: 10-12".
  const std::vector<std::string>& notes() const { return notes_; }
  FrameStoreStats frame_stats() const { return frames_->stats(); }

 private:
  Avatar() = default;
  Status Fill(const FrameCodecs& codecs, const LoadOptions& options);
  Status CheckFiles() const;
  /// Names the video; an image names itself.
  Status NamedFrames(const Status& status) const;
  Status OpenFrames(const FrameCodecs& codecs, const LoadOptions& options);
  Status OpenVideo(const FrameCodecs& codecs, const FrameStoreConfig& config);
  Status OpenImages(const FrameCodecs& codecs, const FrameStoreConfig& config);
  Status ReadMaskImage(const FrameCodecs& codecs);
  Status CheckHash(std::string_view name, std::string_view found) const;
  void WriteNotes();
  Status Named(const Status& status) const;

  std::filesystem::path path_;
  bool verify_hashes_ = true, networks_when_read_ = false;
  std::shared_ptr<const PackageFiles> files_;
  Manifest manifest_;
  Boxes boxes_;
  std::optional<Picture> mask_image_;
  std::unique_ptr<FrameStore> frames_;
  std::vector<std::string> notes_;
};

}  // namespace lipcast::avatar
