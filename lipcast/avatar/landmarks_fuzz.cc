#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lipcast/avatar/landmarks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto box = lipcast::avatar::BoxFromLandmarks({reinterpret_cast<const char*>(data), size});
  if (box.ok() && box->has_value() && ((*box)->empty() || (*box)->width() != (*box)->height())) {
    std::abort();  // a box is a square with an inside
  }
  return 0;
}
