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
