#pragma once

#include "lipcast/base/status.h"

namespace lipcast::cli {

/// What the process returns. Documented in docs/cli.md and in `lipcast --help`.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,        ///< anything not named below
  kExitUsage = 2,          ///< an option or its value is wrong
  kExitInput = 3,          ///< a file, avatar or model cannot be read, or is not what it should be
  kExitOutput = 4,         ///< the output exists, or cannot be written
  kExitUnavailable = 5,    ///< a provider, encoder or library is missing
  kExitInterrupted = 130,  ///< SIGINT or SIGTERM; what was written until then is whole
};

}  // namespace lipcast::cli
