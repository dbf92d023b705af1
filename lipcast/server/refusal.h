#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "lipcast/base/status.h"

/// Why the server says no: Status::reason of its refusals. A client reads them as
/// google.rpc.ErrorInfo over gRPC and as "reason" in the answers of HTTP; those that refuse a
/// session are, in small letters, the label of lipcast_sessions_refused_total.
namespace lipcast::server::refusal {

// These pass: asking again later is of use.
inline constexpr std::string_view kDisk = "DISK";           ///< the disk, or renders.disk_mb
inline constexpr std::string_view kDraining = "DRAINING";   ///< the server is shutting down
inline constexpr std::string_view kFilePace = "FILE_PACE";  ///< limits.file_sessions
inline constexpr std::string_view kHeadroom = "HEADROOM";   ///< the workers have no time for it
inline constexpr std::string_view kLimit = "LIMIT";         ///< limits.sessions
inline constexpr std::string_view kMemory = "MEMORY";       ///< avatars.model_memory_mb, .max
inline constexpr std::string_view kQueue = "QUEUE";         ///< too many wait already
inline constexpr std::string_view kRate = "RATE";           ///< this client asks too often
// These do not.
inline constexpr std::string_view kOrigin = "ORIGIN";           ///< a page of another origin
inline constexpr std::string_view kSize = "SIZE";               ///< more bytes than a limit lets in
inline constexpr std::string_view kSlowReader = "SLOW_READER";  ///< frames were not read in time
inline constexpr std::string_view kTokenMissing = "TOKEN_MISSING";
inline constexpr std::string_view kTokenWrong = "TOKEN_WRONG";  ///< unknown, used or too old

inline Status Draining() {
  return Status(Code::kUnavailable, "the server is shutting down", kDraining);
}
inline Status OtherOrigin() {
  return Status(Code::kPermissionDenied, "a page of another origin may not ask this", kOrigin);
}
inline Status Exhausted(std::string_view reason, std::string message) {
  return Status(Code::kResourceExhausted, std::move(message), reason);
}

/// The reason, or where there is none the name of the code, which says enough then.
inline std::string_view ReasonOf(const Status& status) {
  return status.reason().empty() ? CodeName(status.code()) : status.reason();
}

}  // namespace lipcast::server::refusal
