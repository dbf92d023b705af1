#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "lipcast/avatar/frame_decoder.h"
#include "lipcast/base/test_folder.h"

namespace lipcast::avatar {

void WriteFile(const std::filesystem::path& path, std::string_view bytes);
std::string ReadFile(const std::filesystem::path& path);

/// The clip of a fake video file.
struct FakeVideo {
  PixelFormat format = PixelFormat::kI420;
  int width = 32, height = 24;
  Rational fps{25, 1};
  int64_t frame_count = 10;
  int64_t group = 5;  ///< a key frame every so many
};
std::string FakeVideoFile(const FakeVideo& video);
std::string FakeImageFile(PixelFormat format, int width, int height, int64_t value);

/// Codecs for the files above. Every picture carries its frame's index: FrameOf reads it back.
struct FakeCodecs {
  std::atomic<int64_t> decodes = 0;       ///< frames gone through, also on the way to another
  std::atomic<int64_t> opened = 0;        ///< decoders
  std::atomic<int64_t> overlaps = 0;      ///< calls of one decoder that met another
  std::function<void(int64_t)> on_frame;  ///< called before video frame i is decoded
  int64_t broken_frame = -1;              ///< fails to decode
  int64_t small_frame = -1;               ///< decodes to half the width

  /// Must not outlive this object.
  FrameCodecs codecs();
};

/// The index that FakeCodecs wrote into a picture.
int64_t FrameOf(const Picture& picture);

/// avatar.json of a small package with a 10-frame 32x24 video, without sizes and hashes in files.
nlohmann::json SmallManifest();
/// Writes that package's files and then `manifest`, with the sizes and hashes of what is there.
void WritePackage(const std::filesystem::path& folder, nlohmann::json manifest = SmallManifest());
/// Rewrites avatar.json with the sizes and hashes of the files as they are now.
void WriteManifest(const std::filesystem::path& folder, nlohmann::json manifest);
/// Packs a folder; names in the archive start with `top`.
void ZipFolder(const std::filesystem::path& folder, const std::filesystem::path& zip,
               const std::string& top = "");

}  // namespace lipcast::avatar
