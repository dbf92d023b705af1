#include "lipcast/imaging/row_range.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lipcast::imaging {
namespace {

TEST(SplitRows, CoversEveryRowOnceInEvenShares) {
  for (int rows : {320, 321, 100, 1920, 7, 1}) {
    for (int workers : {1, 3, 8}) {
      int next = 0, smallest = rows, largest = 0;
      for (int index = 0; index < workers; ++index) {
        const RowRange range = SplitRows(rows, workers, index);
        EXPECT_EQ(range.begin, next) << rows << " rows, worker " << index << " of " << workers;
        EXPECT_GE(range.end, range.begin);
        next = range.end;
        smallest = std::min(smallest, range.rows());
        largest = std::max(largest, range.rows());
      }
      EXPECT_EQ(next, rows) << workers << " workers";
      EXPECT_LE(largest - smallest, 1) << rows << " rows over " << workers;
    }
  }
}

TEST(SplitRows, GivesNothingToAWorkerOutOfRange) {
  const RowRange none;
  EXPECT_EQ(SplitRows(100, 8, 8), none);
  EXPECT_EQ(SplitRows(100, 8, -1), none);
  EXPECT_EQ(SplitRows(100, 0, 0), none);
  EXPECT_EQ(SplitRows(0, 8, 3), none);
  EXPECT_EQ(SplitRows(-5, 8, 3), none);
}

}  // namespace
}  // namespace lipcast::imaging
