#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "lipcast/base/status.h"

namespace lipcast::server {

/// A program that reads text on its standard input and writes a WAV to its standard output.
struct SayProgram {
  std::vector<std::string> argv;  ///< argv[0] is looked up in PATH
  std::chrono::milliseconds limit = std::chrono::seconds(10);
  size_t sound_bytes = 32 << 20;  ///< at most
};

/// What `say.command` means: {"auto"} is espeak-ng if it is installed, {} none.
std::optional<SayProgram> SayProgramOf(const std::vector<std::string>& command);

inline constexpr size_t kMaxSayBytes = 4000;  ///< of text

/// The WAV. No shell is between, and the text is no argument, so nothing in it is ever obeyed.
/// Waits for the program: call it on a thread of its own.
/// Errors: kInvalidArgument for a text that is empty, too long or not UTF-8; kUnavailable for a
///         program that does not start, fails or writes no RIFF; kDeadlineExceeded and
///         kResourceExhausted above the limits, kUnavailable once `stop` is asked for: it is
///         killed, with all that it started.
Result<std::string> Say(const SayProgram& program, const std::string& text,
                        std::stop_token stop = {});

}  // namespace lipcast::server
