#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lipcast/server/http_router.h"

namespace lipcast::server {

/// A file of web/, inside the binary.
struct WebFile {
  std::string_view name;  ///< "page.js"
  std::string_view bytes;
  std::string_view sha256;  ///< hex
};

/// Every file of web/, made at build by cmake/embed_web.cmake.
const std::vector<WebFile>& WebFiles();

/// The page: index.html at "/", the rest under "/app/". Open to all, for they hold nothing of the
/// server; what the page asks of it needs the token as ever.
std::vector<HttpRoute> WebPageRoutes();

}  // namespace lipcast::server
