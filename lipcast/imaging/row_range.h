#pragma once

namespace lipcast::imaging {

/// Rows [begin, end) of one worker.
struct RowRange {
  int begin = 0, end = 0;
  int rows() const { return end - begin; }
  friend bool operator==(const RowRange&, const RowRange&) = default;
};

/// The share of worker `index` (0..workers-1) of `rows` rows: together the shares cover every row
/// once, in order, and differ by at most one row. Empty for a worker or a count out of range.
RowRange SplitRows(int rows, int workers, int index);

}  // namespace lipcast::imaging
