// Family "wav2lip": Wav2Lip's network, 96 px and larger twins. Source: docs/numerics.md 4.
//   generator  mel [N,1,80,16] and picture [N,6,S,S], masked copy first -> [N,3,S,S]
// It hears the mel window itself: a window's feature row is the window, and a frame has one row.

#include "lipcast/generator/network_generator.h"

namespace lipcast::generator {
namespace {

AudioContext OwnWindow() {
  AudioContext context;
  context.feature_floats = context.mel_bands * context.window_frames;
  context.rows_before = -1;  // row i + 1 holds window i
  context.rows_after = 1;
  context.reference_end = ReferenceEnd::kWholeWindows;
  return context;
}

}  // namespace

Result<std::shared_ptr<const Generator>> LoadWav2Lip(const GeneratorFiles& files,
                                                     const inference::Backend& backend,
                                                     const inference::SessionOptions& options,
                                                     const FeatureCacheOptions& features) {
  if (files.audio_kind != "mel") {
    return Status(Code::kInvalidArgument,
                  "audio.kind = '" + files.audio_kind + "': family wav2lip wants mel");
  }
  const AudioContext context = OwnWindow();
  LC_ASSIGN_OR_RETURN(auto network,
                      MouthNetwork::Load(files, {{1, context.mel_bands, context.window_frames}},
                                         backend, options, features));
  return MakeGenerator(nullptr, std::move(network), files.layout, context);
}

}  // namespace lipcast::generator
