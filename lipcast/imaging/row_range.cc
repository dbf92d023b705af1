#include "lipcast/imaging/row_range.h"

#include <cstdint>

namespace lipcast::imaging {

RowRange SplitRows(int rows, int workers, int index) {
  if (rows < 1 || workers < 1 || index < 0 || index >= workers) return {};
  const auto edge = [&](int64_t i) { return static_cast<int>(i * rows / workers); };
  return {edge(index), edge(int64_t{index} + 1)};
}

}  // namespace lipcast::imaging
