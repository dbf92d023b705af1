#include "lipcast/pipeline/sample_history.h"

#include <algorithm>

namespace lipcast::pipeline {

void SampleHistory::Append(float sample) {
  ring_[Slot(end_)] = sample;
  ++end_;
  first_ = std::max(first_, end_ - capacity());
}

void SampleHistory::Rewind(int64_t end) {
  if (end > end_ || end < first_) first_ = end;
  end_ = end;
}

void SampleHistory::Copy(int64_t from, std::span<float> out) const {
  for (size_t i = 0; i < out.size(); ++i) out[i] = At(from + static_cast<int64_t>(i));
}

}  // namespace lipcast::pipeline
