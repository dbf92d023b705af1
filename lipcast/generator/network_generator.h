#pragma once

#include <memory>

#include "lipcast/generator/generator.h"
#include "lipcast/generator/mouth_network.h"

namespace lipcast::generator {

/// A family's two networks as its Generator. `encoder` makes features of windows, several items at
/// once as RunBatch says; null where the network hears the windows themselves: their features are
/// copies of them.
std::shared_ptr<const Generator> MakeGenerator(std::shared_ptr<const inference::Session> encoder,
                                               std::unique_ptr<const MouthNetwork> network,
                                               const avatar::MouthLayout& layout,
                                               const AudioContext& context);

}  // namespace lipcast::generator
