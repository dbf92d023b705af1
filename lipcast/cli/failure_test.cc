#include "lipcast/cli/failure.h"

#include <gtest/gtest.h>

namespace lipcast::cli {
namespace {

std::string Printed(const std::string& message) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(Fail(kExitInput, message), kExitInput);
  return testing::internal::GetCapturedStderr();
}

TEST(Failure, IsAlwaysExactlyOneLineWithTheProgramsName) {
  EXPECT_EQ(Printed("audio 'a.wav': no such file"), "lipcast: audio 'a.wav': no such file\n");
  EXPECT_EQ(Printed("one\ntwo\r\nthree"), "lipcast: one two  three\n");
  EXPECT_EQ(Printed(""), "lipcast: \n");
}

TEST(Failure, TellsAMissingPartFromAWrongInput) {
  EXPECT_EQ(InputExit(Status(Code::kUnavailable, "")), kExitUnavailable);
  EXPECT_EQ(InputExit(Status(Code::kUnimplemented, "")), kExitUnavailable);
  EXPECT_EQ(InputExit(Status(Code::kCancelled, "")), kExitInterrupted);
  EXPECT_EQ(InputExit(Status(Code::kInternal, "")), kExitFailure);
  for (const Code code : {Code::kInvalidArgument, Code::kNotFound, Code::kDataLoss,
                          Code::kOutOfRange, Code::kResourceExhausted}) {
    EXPECT_EQ(InputExit(Status(code, "")), kExitInput) << CodeName(code);
  }
}

TEST(Failure, TellsAWrongOptionFromAnOutputThatCannotBeWritten) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(FailOutput(Status(Code::kInvalidArgument, "crf = 60: want 0..51")), kExitUsage);
  EXPECT_EQ(FailOutput(Status(Code::kResourceExhausted, "disk full")), kExitOutput);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "lipcast: crf = 60: want 0..51\nlipcast: disk full\n");
}

TEST(Failure, SaysOnceHowAnExistingFileIsReplaced) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(FailOutput(Status(Code::kAlreadyExists, "'a' exists")), kExitOutput);
  EXPECT_EQ(FailOutput(Status(Code::kAlreadyExists, "'a' exists; --overwrite replaces it")),
            kExitOutput);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "lipcast: 'a' exists (--overwrite)\nlipcast: 'a' exists; --overwrite replaces it\n");
}

}  // namespace
}  // namespace lipcast::cli
