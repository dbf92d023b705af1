#include "lipcast/inference/session.h"

#include <algorithm>
#include <cstring>

namespace lipcast::inference {

std::string DimsToString(std::span<const int64_t> dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) {
    if (i > 0) text += ',';
    text += dims[i] < 0 ? (i == 0 ? std::string("N") : std::string("?")) : std::to_string(dims[i]);
  }
  return text + "]";
}

std::string TensorInfo::ToString() const {
  const char* type_name = type == ElementType::kFloat32   ? " float32"
                          : type == ElementType::kFloat16 ? " float16"
                                                          : " (not float)";
  return name + type_name + DimsToString(dims);
}

int64_t ItemElements(const TensorInfo& info) {
  int64_t elements = 1;
  for (size_t i = 1; i < info.dims.size(); ++i) {
    if (info.dims[i] < 0 || __builtin_mul_overflow(elements, info.dims[i], &elements)) return -1;
  }
  return elements;
}

std::string ProviderName(Provider provider) { return provider == Provider::kCuda ? "cuda" : "cpu"; }

Result<Provider> ParseProvider(const std::string& name) {
  if (name == "cpu") return Provider::kCpu;
  if (name == "cuda") return Provider::kCuda;
  return Status(Code::kInvalidArgument, "provider '" + name + "': want cpu or cuda");
}

int64_t Session::fixed_batch() const {
  for (const TensorInfo& input : inputs()) {
    if (!input.dims.empty() && input.dims[0] >= 0) return input.dims[0];
  }
  return -1;
}

namespace {

/// Runs one batch of `fixed` items of which only the first `items` are real.
Status RunPadded(const Session& session, int64_t items, int64_t fixed,
                 std::span<const std::span<const float>> inputs,
                 std::span<const std::span<float>> outputs) {
  std::vector<std::vector<float>> padded_in, padded_out;
  std::vector<std::span<const float>> in;
  std::vector<std::span<float>> out;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const auto item = static_cast<size_t>(ItemElements(session.inputs()[k]));
    std::vector<float>& block = padded_in.emplace_back(inputs[k].begin(), inputs[k].end());
    for (int64_t i = items; i < fixed; ++i) {
      block.insert(block.end(), inputs[k].end() - static_cast<ptrdiff_t>(item), inputs[k].end());
    }
  }
  for (const TensorInfo& info : session.outputs()) {
    padded_out.emplace_back(static_cast<size_t>(ItemElements(info) * fixed));
  }
  in.assign(padded_in.begin(), padded_in.end());
  out.assign(padded_out.begin(), padded_out.end());
  LC_RETURN_IF_ERROR(session.Run(fixed, in, out));
  for (size_t k = 0; k < outputs.size(); ++k) {
    std::copy_n(padded_out[k].begin(), outputs[k].size(), outputs[k].begin());
  }
  return {};
}

constexpr size_t kMaxTensors = 4;

/// kInvalidArgument unless every span holds exactly `items` items of its tensor.
template <typename Spans>
Status CheckSizes(const Session& session, int64_t items, const std::vector<TensorInfo>& infos,
                  const Spans& spans) {
  for (size_t k = 0; k < infos.size(); ++k) {
    const int64_t item = ItemElements(infos[k]), floats = static_cast<int64_t>(spans[k].size());
    if (item > 0 && floats % item == 0 && floats / item == items) continue;
    return Status(Code::kInvalidArgument, session.name() + ": " + infos[k].ToString() +
                                              " cannot take " + std::to_string(items) +
                                              " items with " + std::to_string(floats) + " values");
  }
  return {};
}

}  // namespace

Status RunItems(const Session& session, int64_t items, int64_t max_batch,
                std::span<const std::span<const float>> inputs,
                std::span<const std::span<float>> outputs) {
  LC_ENSURE(inputs.size() == session.inputs().size() && inputs.size() <= kMaxTensors);
  LC_ENSURE(outputs.size() == session.outputs().size() && outputs.size() <= kMaxTensors);
  LC_RETURN_IF_ERROR(CheckSizes(session, items, session.inputs(), inputs));
  LC_RETURN_IF_ERROR(CheckSizes(session, items, session.outputs(), outputs));
  const int64_t fixed = session.fixed_batch();
  const int64_t step = fixed > 0 ? fixed : std::max<int64_t>(1, max_batch);
  for (int64_t first = 0; first < items; first += step) {
    const int64_t count = std::min(step, items - first);
    std::span<const float> in[kMaxTensors];
    std::span<float> out[kMaxTensors];
    for (size_t k = 0; k < inputs.size(); ++k) {
      const int64_t item = ItemElements(session.inputs()[k]);
      in[k] =
          inputs[k].subspan(static_cast<size_t>(first * item), static_cast<size_t>(count * item));
    }
    for (size_t k = 0; k < outputs.size(); ++k) {
      const int64_t item = ItemElements(session.outputs()[k]);
      out[k] =
          outputs[k].subspan(static_cast<size_t>(first * item), static_cast<size_t>(count * item));
    }
    const std::span<const std::span<const float>> ins(in, inputs.size());
    const std::span<const std::span<float>> outs(out, outputs.size());
    if (fixed > 0 && count < fixed) {
      LC_RETURN_IF_ERROR(RunPadded(session, count, fixed, ins, outs));
    } else {
      LC_RETURN_IF_ERROR(session.Run(count, ins, outs));
    }
  }
  return {};
}

}  // namespace lipcast::inference
