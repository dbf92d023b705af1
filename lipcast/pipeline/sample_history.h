#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lipcast::pipeline {

/// The last samples of a stream, by their index from its start. What is not kept reads as zero:
/// before the start, forgotten, or not heard yet.
/// Memory: fixed at construction. Thread: one caller at a time.
class SampleHistory {
 public:
  explicit SampleHistory(int64_t capacity) : ring_(static_cast<size_t>(capacity)) {}

  int64_t end() const { return end_; }
  int64_t capacity() const { return static_cast<int64_t>(ring_.size()); }

  void Append(float sample);
  /// Samples from `end` on are unheard; `end` may lie ahead, what is skipped is zero.
  void Rewind(int64_t end);
  float At(int64_t index) const {
    return index >= first_ && index < end_ ? ring_[Slot(index)] : 0.0F;
  }
  /// [from, from + out.size()).
  void Copy(int64_t from, std::span<float> out) const;

 private:
  size_t Slot(int64_t index) const { return static_cast<size_t>(index) % ring_.size(); }

  std::vector<float> ring_;
  int64_t first_ = 0, end_ = 0;  // kept: [first_, end_)
};

}  // namespace lipcast::pipeline
