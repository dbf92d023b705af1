#include "lipcast/pipeline/sample_history.h"

#include <gtest/gtest.h>

namespace lipcast::pipeline {
namespace {

SampleHistory Counted(int64_t capacity, int64_t samples) {
  SampleHistory history(capacity);
  for (int64_t i = 0; i < samples; ++i) history.Append(static_cast<float>(i + 1));
  return history;
}

std::vector<float> Read(const SampleHistory& history, int64_t from, size_t count) {
  std::vector<float> out(count, -1.0F);
  history.Copy(from, out);
  return out;
}

TEST(SampleHistory, WhatIsNotKeptIsZero) {
  const SampleHistory history = Counted(4, 6);
  EXPECT_EQ(history.end(), 6);
  EXPECT_EQ(Read(history, -1, 9), (std::vector<float>{0, 0, 0, 3, 4, 5, 6, 0, 0}));
}

TEST(SampleHistory, RewoundItKeepsWhatCameBefore) {
  SampleHistory history = Counted(8, 10);  // 2 .. 9 are kept
  history.Rewind(5);
  EXPECT_EQ(Read(history, 0, 8), (std::vector<float>{0, 0, 3, 4, 5, 0, 0, 0}));
  history.Append(50);
  EXPECT_EQ(Read(history, 2, 5), (std::vector<float>{3, 4, 5, 50, 0}));
}

TEST(SampleHistory, RewoundBeyondWhatIsKeptOrAheadOfItItIsEmpty) {
  SampleHistory history = Counted(4, 20);
  history.Rewind(3);
  EXPECT_EQ(Read(history, 0, 5), (std::vector<float>(5, 0)));
  history.Rewind(100);
  history.Append(7);
  EXPECT_EQ(Read(history, 99, 3), (std::vector<float>{0, 7, 0}));
}

}  // namespace
}  // namespace lipcast::pipeline
