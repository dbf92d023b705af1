#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "lipcast/avatar/avatar.h"
#include "lipcast/generator/generator.h"
#include "lipcast/imaging/compose.h"
#include "lipcast/inference/session.h"

namespace lipcast::pipeline {

/// An avatar ready to speak: its pictures, its networks, its way of pasting. Immutable; every
/// session of it and every worker share the one.
struct LoadedAvatar {
  std::shared_ptr<const avatar::Avatar> avatar;
  std::shared_ptr<const generator::Generator> generator;
  imaging::MouthCompositor compositor;
  std::string backend;  ///< "ONNX Runtime 1.32.0"

  static Result<std::shared_ptr<const LoadedAvatar>> Load(const std::filesystem::path& path,
                                                          const avatar::FrameCodecs& codecs,
                                                          const avatar::LoadOptions& load_options,
                                                          const inference::Backend& backend,
                                                          const inference::SessionOptions& options);
};

}  // namespace lipcast::pipeline
