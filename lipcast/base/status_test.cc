#include "lipcast/base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace lipcast {
namespace {

TEST(Code, HasTheNumbersAndNamesOfGrpc) {
  const struct {
    Code code;
    int number;
    const char* name;
  } grpc[] = {
      {Code::kOk, 0, "OK"},
      {Code::kCancelled, 1, "CANCELLED"},
      {Code::kUnknown, 2, "UNKNOWN"},
      {Code::kInvalidArgument, 3, "INVALID_ARGUMENT"},
      {Code::kDeadlineExceeded, 4, "DEADLINE_EXCEEDED"},
      {Code::kNotFound, 5, "NOT_FOUND"},
      {Code::kAlreadyExists, 6, "ALREADY_EXISTS"},
      {Code::kPermissionDenied, 7, "PERMISSION_DENIED"},
      {Code::kResourceExhausted, 8, "RESOURCE_EXHAUSTED"},
      {Code::kFailedPrecondition, 9, "FAILED_PRECONDITION"},
      {Code::kAborted, 10, "ABORTED"},
      {Code::kOutOfRange, 11, "OUT_OF_RANGE"},
      {Code::kUnimplemented, 12, "UNIMPLEMENTED"},
      {Code::kInternal, 13, "INTERNAL"},
      {Code::kUnavailable, 14, "UNAVAILABLE"},
      {Code::kDataLoss, 15, "DATA_LOSS"},
  };
  for (const auto& want : grpc) {
    EXPECT_EQ(static_cast<int>(want.code), want.number);
    EXPECT_EQ(CodeName(want.code), want.name);
  }
  EXPECT_EQ(CodeName(static_cast<Code>(99)), "UNKNOWN");
}

TEST(Status, IsOkUntilItIsGivenAFailure) {
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status().ToString(), "OK");
  const Status failed(Code::kNotFound, "frames.mp4: no such file");
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(failed.ToString(), "NOT_FOUND: frames.mp4: no such file");
}

TEST(Status, TakesTheOuterPlaceInFrontAndKeepsItsCode) {
  const Status failed(Code::kDataLoss, "boxes.json: cut short");
  EXPECT_EQ(failed.Prefixed("avatar 'anna'"),
            Status(Code::kDataLoss, "avatar 'anna': boxes.json: cut short"));
  EXPECT_EQ(Status().Prefixed("avatar 'anna'"), Status());
}

TEST(Status, DiffersByCodeAndByText) {
  EXPECT_FALSE(Status(Code::kInternal, "a") == Status(Code::kInternal, "b"));
  EXPECT_FALSE(Status(Code::kInternal, "a") == Status(Code::kUnknown, "a"));
}

TEST(Result, HoldsAValueOrTheReasonForItsAbsence) {
  const Result<int> value = 7;
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(*value, 7);
  EXPECT_TRUE(value.status().ok());
  const Result<int> failed = Status(Code::kOutOfRange, "8");
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(failed.status(), Status(Code::kOutOfRange, "8"));
}

TEST(Result, MadeOfAnOkStatusIsAnInternalFailure) {
  const Result<int> result = Status();
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kInternal);
}

TEST(Result, MovesWhatCannotBeCopiedAndConvertsWhatCan) {
  Result<std::unique_ptr<int>> owned = std::make_unique<int>(3);
  const std::unique_ptr<int> taken = *std::move(owned);
  EXPECT_EQ(*taken, 3);
  const Result<std::shared_ptr<const int>> shared = std::make_shared<int>(4);
  EXPECT_EQ(**shared, 4);
  const Result<std::string> text = "literal";
  EXPECT_EQ(text->size(), 7);
}

Result<int> Half(int value) {
  if (value % 2 != 0) return Status(Code::kInvalidArgument, std::to_string(value) + " is odd");
  return value / 2;
}
Status CheckQuarter(int value, int* reached) {
  LC_ASSIGN_OR_RETURN(const int half, Half(value));
  *reached = 1;
  LC_ASSIGN_OR_RETURN(const int quarter, Half(half));
  *reached = 2;
  LC_RETURN_IF_ERROR(Half(quarter).status());
  *reached = 3;
  return {};
}
Result<std::string> Quartered(int value) {
  int reached = 0;
  if (value > 0) LC_RETURN_IF_ERROR(CheckQuarter(value, &reached));
  return "fits";
}

TEST(Macros, ReturnAtTheFirstFailureWithItsStatus) {
  int reached = 0;
  EXPECT_EQ(CheckQuarter(3, &reached), Status(Code::kInvalidArgument, "3 is odd"));
  EXPECT_EQ(reached, 0);
  EXPECT_EQ(CheckQuarter(2, &reached), Status(Code::kInvalidArgument, "1 is odd"));
  EXPECT_EQ(reached, 1);
  EXPECT_EQ(CheckQuarter(12, &reached), Status(Code::kInvalidArgument, "3 is odd"));
  EXPECT_EQ(reached, 2);
  EXPECT_TRUE(CheckQuarter(8, &reached).ok());
  EXPECT_EQ(reached, 3);
}

TEST(Macros, PassAStatusOnThroughAResult) {
  EXPECT_EQ(Quartered(3).status(), Status(Code::kInvalidArgument, "3 is odd"));
  EXPECT_EQ(*Quartered(8), "fits");
  EXPECT_EQ(*Quartered(0), "fits");
}

Status Count(std::vector<int>* values, int value) {
  LC_RETURN_IF_ERROR([&] {
    values->push_back(value);
    return Status();
  }());
  return {};
}

TEST(Macros, EvaluateTheirExpressionOnce) {
  std::vector<int> values;
  ASSERT_TRUE(Count(&values, 5).ok());
  EXPECT_EQ(values.size(), 1);
}

Status Ensured(int value) {
  LC_ENSURE(value == 1);
  return {};
}

TEST(Macros, EnsureStopsADebugBuildAndIsInternalInAReleaseBuild) {
  EXPECT_TRUE(Ensured(1).ok());
  EXPECT_DEBUG_DEATH(
      EXPECT_EQ(Ensured(2), Status(Code::kInternal, "internal: not true: value == 1")),
      "not true: value == 1");
}

}  // namespace
}  // namespace lipcast
