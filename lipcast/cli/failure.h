#pragma once

#include <string>

#include "lipcast/base/status.h"
#include "lipcast/cli/exit_codes.h"

namespace lipcast::cli {

/// Prints "lipcast: <message>" on standard error, always exactly one line, and returns `code`.
int Fail(ExitCode code, const Status& status);
int Fail(ExitCode code, const std::string& message);

/// Fail for what was asked of the output: a wrong value is a wrong option, the rest the output's.
int FailOutput(const Status& status);

/// The exit code of a failure on the input side: kUnavailable and kUnimplemented speak of what is
/// missing, everything else of the input.
ExitCode InputExit(const Status& status);

}  // namespace lipcast::cli
