#pragma once

#include <CLI/CLI.hpp>

namespace lipcast::cli {

/// Adds `lipcast inspect` to `app`; `exit_code` is set when it ran.
void AddInspect(CLI::App& app, int& exit_code);

}  // namespace lipcast::cli
