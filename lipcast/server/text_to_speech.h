#pragma once

#include <sys/types.h>

#include <atomic>
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
  /// Where its process group stands while it runs, 0 else: a signal handler that ends this process
  /// at once ends the group first. May be null.
  std::atomic<pid_t>* group = nullptr;
};

/// What `say.command` means: {"auto"} is espeak-ng if it is installed, {} none.
/// Errors: kInvalidArgument for a program that is not there.
Result<std::optional<SayProgram>> SayProgramOf(const std::vector<std::string>& command);

inline constexpr size_t kMaxSayBytes = 4000;  ///< of text

/// The WAV. No shell is between, and the text is no argument, so nothing in it is ever obeyed.
/// Waits for the program: call it on a thread of its own. However this process ends, the program
/// ends; what it started in turn, and hangs, outlives a crash only.
/// Errors: kInvalidArgument for a text that is empty, too long or not UTF-8; kUnavailable for a
///         program that does not start, fails or writes no RIFF; kDeadlineExceeded and
///         kResourceExhausted above the limits, kUnavailable once `stop` is asked for: it is
///         killed, with all that it started.
Result<std::string> Say(const SayProgram& program, const std::string& text,
                        std::stop_token stop = {});

}  // namespace lipcast::server
