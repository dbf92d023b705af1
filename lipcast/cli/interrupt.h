#pragma once

namespace lipcast::cli {

/// SIGINT and SIGTERM ask for an end; a second one ends at once, unless it comes within half a
/// second: `timeout` and some shells send two for one wish. Installed once, by main.
void CatchInterrupts();
bool Interrupted();

/// Waits until `fd` can be read, or an interrupt came: false then.
bool WaitReadable(int fd);
/// Makes every present and later WaitReadable return false, as an interrupt does.
void StopWaiting();

}  // namespace lipcast::cli
