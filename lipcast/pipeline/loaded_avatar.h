#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "lipcast/audio/mel_config.h"
#include "lipcast/avatar/avatar.h"
#include "lipcast/avatar/picture_cache.h"
#include "lipcast/generator/generator.h"
#include "lipcast/imaging/compose.h"
#include "lipcast/inference/session.h"

namespace lipcast::pipeline {

/// An avatar ready to speak: its pictures, its networks, its way of pasting. Immutable but for its
/// caches; every session of it and every worker share the one.
struct LoadedAvatar {
  std::shared_ptr<const avatar::Avatar> avatar;
  std::shared_ptr<const generator::Generator> generator;
  imaging::MouthCompositor compositor;
  std::string backend;  ///< "ONNX Runtime 1.32.0"
  /// Face boxes at the network's size, by frame: what the picture part of a window's input is made
  /// of, whatever the audio.
  std::unique_ptr<avatar::PictureCache> faces;

  audio::Padding mel_padding() const;
  /// Frame `index`'s face box, cut out of its picture and scaled to resized_px, BGR.
  Result<avatar::SharedPicture> Face(int64_t index, const PictureView& frame, const Rect& box,
                                     imaging::Scratch& scratch) const;

  static Result<std::shared_ptr<const LoadedAvatar>> Load(
      const std::filesystem::path& path, const avatar::FrameCodecs& codecs,
      const avatar::LoadOptions& load_options, const inference::Backend& backend,
      const inference::SessionOptions& options, const generator::FeatureCacheOptions& features,
      int64_t face_cache_bytes, std::optional<avatar::GeneratorVariant> variant = {});
};

}  // namespace lipcast::pipeline
