#include "lipcast/cli/failure.h"

#include <cstdio>

namespace lipcast::cli {

int Fail(ExitCode code, const std::string& message) {
  std::string line = message;
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  std::fprintf(stderr, "lipcast: %s\n", line.c_str());
  return code;
}

int Fail(ExitCode code, const Status& status) { return Fail(code, status.message()); }

int FailOutput(const Status& status) {
  const std::string& reason = status.message();
  const bool hint =
      status.code() == Code::kAlreadyExists && reason.find("--overwrite") == std::string::npos;
  return Fail(status.code() == Code::kInvalidArgument ? kExitUsage : kExitOutput,
              reason + (hint ? " (--overwrite)" : ""));
}

ExitCode InputExit(const Status& status) {
  switch (status.code()) {
    case Code::kUnavailable:
    case Code::kUnimplemented:
      return kExitUnavailable;
    case Code::kCancelled:
      return kExitInterrupted;
    case Code::kInternal:
      return kExitFailure;
    default:
      return kExitInput;
  }
}

}  // namespace lipcast::cli
