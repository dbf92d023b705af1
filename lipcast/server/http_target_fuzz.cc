// libFuzzer: whatever a client asks for, no step of a path climbs, and a refusal is one line.

#include <cstdlib>
#include <string_view>

#include "lipcast/server/http_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lipcast::server;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto target = ParseTarget(text);
  if (!target.ok()) {
    if (target.status().message().find('\n') != std::string::npos) std::abort();
  } else {
    for (const std::string& segment : target->segments) {
      if (segment.empty() || segment == "." || segment == "..") std::abort();
      if (segment.find_first_of(std::string_view("/\\\0\r\n", 5)) != std::string::npos)
        std::abort();
    }
    for (const auto& [name, value] : target->query) {
      const auto number = QueryInteger(*target, name, -5, 5, 0);
      if (number.ok() && (*number < -5 || *number > 5)) std::abort();
    }
  }
  const size_t half = text.size() / 2;
  const OriginRules rules{{"https://app.example"}, (size & 1) != 0};
  if (OriginAllowed(text.substr(0, half), text.substr(half), rules) && half > 0 &&
      text.substr(0, half) != rules.also[0] && !text.substr(0, half).ends_with(text.substr(half))) {
    std::abort();
  }
  return 0;
}
