#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lipcast/avatar/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifest = lipcast::avatar::ParseManifest(text);
  // What parses is valid; what does not is explained in one line.
  if (manifest.ok() && !manifest->Validate().ok()) std::abort();
  if (manifest.status().message().find('\n') != std::string::npos) std::abort();
  const auto boxes = lipcast::avatar::ParseBoxes(text);
  if (boxes.status().message().find('\n') != std::string::npos) std::abort();
  if (boxes.ok()) {
    for (const auto& box : *boxes) {
      if (box.has_value() && box->empty()) std::abort();
    }
  }
  return 0;
}
