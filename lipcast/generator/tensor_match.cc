#include "lipcast/generator/tensor_match.h"

namespace lipcast::generator {
namespace {

using inference::Session;
using inference::TensorInfo;

std::string Describe(const Session& session) {
  std::string text;
  for (const TensorInfo& info : session.inputs()) {
    text += (text.empty() ? "" : ", ") + info.ToString();
  }
  text += " -> ";
  for (size_t i = 0; i < session.outputs().size(); ++i) {
    text += (i == 0 ? "" : ", ") + session.outputs()[i].ToString();
  }
  return text;
}

}  // namespace

bool ItemIs(const TensorInfo& info, std::span<const int64_t> item) {
  if (info.dims.size() != item.size() + 1) return false;
  for (size_t i = 0; i < item.size(); ++i) {
    if (info.dims[i + 1] != item[i]) return false;
  }
  return true;
}

std::optional<size_t> FindItem(const std::vector<TensorInfo>& infos,
                               std::span<const int64_t> item) {
  for (size_t i = 0; i < infos.size(); ++i) {
    if (ItemIs(infos[i], item)) return i;
  }
  return std::nullopt;
}

Status WrongTensors(const Session& session, const std::string& wanted) {
  return Status(Code::kInvalidArgument,
                session.name() + ": found " + Describe(session) + ", want " + wanted);
}

}  // namespace lipcast::generator
