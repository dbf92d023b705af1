#pragma once

#include <CLI/CLI.hpp>

namespace lipcast::cli {

/// Adds `lipcast render` to `app`; `exit_code` is set when it ran.
void AddRender(CLI::App& app, int& exit_code);

}  // namespace lipcast::cli
