#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lipcast/base/executor.h"
#include "lipcast/server/http_router.h"
#include "lipcast/server/upload_file.h"

namespace lipcast::server {

/// A file for a client to keep. It never changes.
struct HttpFile {
  std::shared_ptr<const FinishedFile> file;
  uint64_t bytes = 0;
  std::string type;  ///< "video/mp4"
  std::string id;    ///< of this file and no other
  std::string name;  ///< DownloadName
};

/// Answers with the file, or with the part that a Range asks for, read on `slow`'s threads piece by
/// piece; it is there as long as somebody reads it.
void SendFile(const HttpFile& file, Executor& slow, const HttpCall& call,
              const std::shared_ptr<HttpReply>& reply);

/// "anna-1f2e3d4c.mp4", of letters that no header minds.
std::string DownloadName(const std::string& avatar, const std::string& id,
                         const std::string& ending);

/// A part of a file: the answer to a Range header over `bytes` bytes.
struct ByteRange {
  int code = 200;  ///< 206 for a part, 416 for one that is not there
  uint64_t first = 0, count = 0;
};
/// Only one range of bytes is served; what is no such header is ignored, as RFC 9110 asks.
ByteRange ParseRange(std::string_view header, uint64_t bytes);

}  // namespace lipcast::server
