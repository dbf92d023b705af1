#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lipcast/base/status.h"

namespace lipcast::avatar {

/// The numbered names of a picture sequence: "frames/%06d.png" names frames/000000.png, ..
class ImagePattern {
 public:
  /// kInvalidArgument unless `pattern` is a package path with exactly one %d or %0Nd (N = 1..9) in
  /// its last part and ends in .png, .jpg or .jpeg.
  static Result<ImagePattern> Parse(std::string_view pattern);

  /// The name with `number` >= 0; more digits than N widen it.
  std::string Name(int64_t number) const;

 private:
  std::string before_, after_;
  int digits_ = 1;
};

}  // namespace lipcast::avatar
