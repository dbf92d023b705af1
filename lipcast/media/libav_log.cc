#include "lipcast/media/libav_log.h"

#include <cstdio>
#include <mutex>

#include "lipcast/media/libav.h"

namespace lipcast::media {
namespace {

constexpr size_t kMaxLogChars = 300;

// libav's callback has no context, so what it says is kept per thread.
thread_local std::string first_error;

void KeepErrors(void*, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_ERROR || !first_error.empty()) return;
  char line[kMaxLogChars];
  std::vsnprintf(line, sizeof line, format, arguments);
  for (const char* c = line; *c; ++c) first_error += static_cast<unsigned char>(*c) < 32 ? ' ' : *c;
  while (!first_error.empty() && first_error.back() == ' ') first_error.pop_back();
}

Code CodeOf(int error) {
  switch (error) {
    case AVERROR(ENOSPC):
    case AVERROR(ENOMEM):
      return Code::kResourceExhausted;
    case AVERROR(ENOENT):
      return Code::kNotFound;
    case AVERROR(EACCES):
    case AVERROR(EPERM):
      return Code::kPermissionDenied;
    case AVERROR(EINVAL):
      return Code::kInvalidArgument;
    case AVERROR_INVALIDDATA:
    case AVERROR_EOF:
    case AVERROR(EIO):
      return Code::kDataLoss;
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_ENCODER_NOT_FOUND:
    case AVERROR_MUXER_NOT_FOUND:
    case AVERROR_PATCHWELCOME:
    case AVERROR(ENOSYS):
      return Code::kUnimplemented;
    default:
      return Code::kUnknown;
  }
}

}  // namespace

void InitLibav() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_callback(KeepErrors); });
}

void ClearLibavLog() { first_error.clear(); }

std::string FirstLibavError() { return first_error; }

Status LibavStatus(int error, const std::string& what) {
  char text[AV_ERROR_MAX_STRING_SIZE] = "";
  av_strerror(error, text, sizeof text);
  const std::string detail = first_error.empty() ? "" : " (" + first_error + ")";
  return Status(CodeOf(error), what + ": " + text + detail);
}

}  // namespace lipcast::media
