#include "lipcast/generator/feature_ring.h"

#include <algorithm>

namespace lipcast::generator {

FeatureRing::FeatureRing(const AudioContext& context, int64_t capacity)
    : context_(context),
      capacity_(std::max<int64_t>(capacity, context.rows())),
      held_(static_cast<size_t>(capacity_), -1),
      rows_(static_cast<size_t>(capacity_ * context.feature_floats)) {}

std::span<float> FeatureRing::Put(int64_t window) {
  held_[Slot(window)] = window;
  const auto floats = static_cast<size_t>(context_.feature_floats);
  return std::span<float>(rows_).subspan(Slot(window) * floats, floats);
}

std::span<const float> FeatureRing::Row(int64_t window) const {
  const auto floats = static_cast<size_t>(context_.feature_floats);
  return std::span<const float>(rows_).subspan(Slot(window) * floats, floats);
}

Status FeatureRing::FillContext(int64_t frame, std::optional<int64_t> window_count,
                                std::span<float> out) const {
  LC_ENSURE(out.size() == static_cast<size_t>(context_.floats()));
  auto to = out.begin();
  for (int64_t row = frame - context_.rows_before; row <= frame + context_.rows_after; ++row) {
    int64_t window = row == 0 ? 0 : row - 1;
    if (window_count && row == *window_count + 1) window = *window_count - 1;
    const int64_t edge = context_.copied_edges ? 0 : 1;
    const bool outside = row < edge || (window_count && row > *window_count + 1 - edge);
    if (outside) {
      to = std::fill_n(to, context_.feature_floats, 0.0F);
      continue;
    }
    LC_ENSURE(Has(window));
    to = std::ranges::copy(Row(window), to).out;
  }
  return {};
}

void FeatureRing::Clear() { std::ranges::fill(held_, -1); }

}  // namespace lipcast::generator
