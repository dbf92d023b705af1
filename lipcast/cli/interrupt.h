#pragma once

#include <sys/types.h>

#include <atomic>

namespace lipcast::cli {

/// SIGINT and SIGTERM ask for an end; a second one ends at once, unless it comes within half a
/// second: `timeout` and some shells send two for one wish. Installed once, by main.
void CatchInterrupts();
bool Interrupted();
/// From now on the line of a second signal says that an unfinished file may lie beside the output.
void EndingAtOnceLeavesAFile();
/// The process group that a second signal kills with this process; 0: none.
std::atomic<pid_t>& GroupThatEndsToo();

/// Waits until `fd` can be read, or an interrupt came: false then.
bool WaitReadable(int fd);
/// Makes every present and later WaitReadable return false, as an interrupt does.
void StopWaiting();

}  // namespace lipcast::cli
