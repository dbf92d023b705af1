#pragma once

#include <CLI/CLI.hpp>

namespace lipcast::cli {

/// Adds `lipcast bench` to `app`; `exit_code` is set when it ran.
void AddBench(CLI::App& app, int& exit_code);

}  // namespace lipcast::cli
