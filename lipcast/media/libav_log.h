#pragma once

#include <string>

#include "lipcast/base/status.h"

namespace lipcast::media {

/// Takes libav's log away from stderr: the errors of a thread are kept for the Status of the call
/// that failed. main() calls it once, before anything else of media/; later calls change nothing.
/// Without libav it does nothing.
void InitLibav();

/// Forgets what this thread has logged; called where an operation begins.
void ClearLibavLog();
/// The first error this thread logged since ClearLibavLog(), one line; empty when none.
std::string FirstLibavError();
/// "what: Invalid data found when processing input (moov atom not found)".
Status LibavStatus(int error, const std::string& what);

}  // namespace lipcast::media
