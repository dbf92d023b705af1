#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lipcast/base/status.h"
#include "lipcast/inference/session.h"

namespace lipcast::generator {

/// True if the tensor's item (everything but the batch) has these dimensions.
bool ItemIs(const inference::TensorInfo& info, std::span<const int64_t> item);

/// The input or output whose item has these dimensions; names differ from export to export.
std::optional<size_t> FindItem(const std::vector<inference::TensorInfo>& infos,
                               std::span<const int64_t> item);

/// kInvalidArgument: "generator.onnx: found <its tensors>, want <wanted>".
Status WrongTensors(const inference::Session& session, const std::string& wanted);

}  // namespace lipcast::generator
