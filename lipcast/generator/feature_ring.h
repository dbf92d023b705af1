#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lipcast/base/status.h"
#include "lipcast/generator/generator.h"

namespace lipcast::generator {

/// The encoder's features of one stream, each window's computed once and kept while a frame may
/// still need it. Indices count windows from the start of the stream.
/// Memory: fixed at construction. Thread: one caller at a time.
class FeatureRing {
 public:
  /// `capacity` windows are held; at least the rows of one context.
  FeatureRing(const AudioContext& context, int64_t capacity);

  bool Has(int64_t window) const { return window >= 0 && held_[Slot(window)] == window; }
  /// The row of `window`, to be written by the caller; takes the place of window - capacity.
  std::span<float> Put(int64_t window);
  std::span<const float> Row(int64_t window) const;

  /// The rows frame `frame` is drawn from, into `out` [rows][feature_floats]. Every window they
  /// name must have been put. `window_count`, once known, is where reference edges end: the row
  /// after the last window copies it, rows beyond are zero.
  Status FillContext(int64_t frame, std::optional<int64_t> window_count,
                     std::span<float> out) const;

  void Clear();

 private:
  size_t Slot(int64_t window) const { return static_cast<size_t>(window % capacity_); }

  const AudioContext context_;
  const int64_t capacity_;
  std::vector<int64_t> held_;
  std::vector<float> rows_;
};

}  // namespace lipcast::generator
