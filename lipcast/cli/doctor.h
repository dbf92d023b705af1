#pragma once

#include <CLI/CLI.hpp>

namespace lipcast::cli {

/// Adds `lipcast doctor` to `app`; `exit_code` is set when it ran.
void AddDoctor(CLI::App& app, int& exit_code);

}  // namespace lipcast::cli
