#pragma once

#include <CLI/CLI.hpp>

namespace lipcast::cli {

/// Adds `lipcast avatar` to `app`: everything behind it is handed to the Python package
/// lipcast_studio, whose process takes the place of this one. Returns only where that failed.
void AddAvatar(CLI::App& app, int& exit_code);

}  // namespace lipcast::cli
