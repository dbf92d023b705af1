// Family "synctalk": the SyncTalk_2D networks, 328 and 160, audio kind "ave". Source:
// docs/numerics.md 2, 3.
//   encoder    [N,1,80,16] -> [N,512]
//   generator  picture [N,6,S,S] and audio [N,32,16,16] (= 16 rows of 512) -> [N,3,S,S]

#include "lipcast/generator/network_generator.h"
#include "lipcast/generator/tensor_match.h"

namespace lipcast::generator {
namespace {

using inference::Session;

const MouthNetwork::Dims kSound = {32, 16, 16};

Status CheckEncoder(const Session& encoder) {
  const AudioContext context;
  const int64_t window[] = {1, context.mel_bands, context.window_frames};
  const int64_t feature[] = {context.feature_floats};
  if (encoder.inputs().size() == 1 && encoder.outputs().size() == 1 &&
      ItemIs(encoder.inputs()[0], window) && ItemIs(encoder.outputs()[0], feature)) {
    return {};
  }
  const bool swapped = FindItem(encoder.inputs(), kSound) && encoder.inputs().size() == 2;
  return WrongTensors(encoder, std::string("an audio encoder with [N,1,80,16] -> [N,512]") +
                                   (swapped ? " (the two files look swapped)" : ""));
}

}  // namespace

Result<std::shared_ptr<const Generator>> LoadSynctalk(const GeneratorFiles& files,
                                                      const inference::Backend& backend,
                                                      const inference::SessionOptions& options,
                                                      const FeatureCacheOptions& features) {
  if (files.audio_kind != "ave") {
    return Status(Code::kInvalidArgument,
                  "audio.kind = '" + files.audio_kind + "': family synctalk wants ave");
  }
  LC_RETURN_IF_ERROR(files.layout.Validate());
  LC_ASSIGN_OR_RETURN(auto encoder, files.Network(files.audio_encoder, backend, options));
  LC_RETURN_IF_ERROR(CheckEncoder(*encoder));
  LC_ASSIGN_OR_RETURN(auto network,
                      MouthNetwork::Load(files, {kSound}, backend, options, features));
  return MakeGenerator(std::move(encoder), std::move(network), files.layout, AudioContext());
}

}  // namespace lipcast::generator
