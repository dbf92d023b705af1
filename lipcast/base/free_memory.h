#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace lipcast {

/// Bytes that this process may still take: what the machine has left (MemAvailable), and what each
/// of its control groups, versions 1 and 2, has left of its limit; the least counts. Memory that a
/// group merely caches files in is left. Linux only; none where the machine's cannot be read.
/// `root` is where /proc and /sys are.
std::optional<int64_t> FreeMemoryBytes(const std::filesystem::path& root = "/");

}  // namespace lipcast
