#pragma once

#include <CLI/CLI.hpp>

namespace lipcast::cli {

/// Adds `lipcast serve` to `app`; `exit_code` is set when it ran.
void AddServe(CLI::App& app, int& exit_code);

}  // namespace lipcast::cli
