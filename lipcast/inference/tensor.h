#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lipcast::inference {

enum class ElementType { kFloat32, kFloat16, kOther };

/// One named input or output as the model file declares it. A dimension of -1 is free.
struct TensorInfo {
  std::string name;
  ElementType type = ElementType::kFloat32;
  std::vector<int64_t> dims;

  /// "audio float32[N,32,16,16]"
  std::string ToString() const;
};

std::string DimsToString(std::span<const int64_t> dims);  ///< "[N,32,16,16]", N for -1

/// Elements of one batch item: the product of all dimensions but the first. -1 if one is free or
/// the product does not fit.
int64_t ItemElements(const TensorInfo& info);

}  // namespace lipcast::inference
