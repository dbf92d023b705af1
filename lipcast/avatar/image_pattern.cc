#include "lipcast/avatar/image_pattern.h"

#include <fmt/format.h>

#include "lipcast/avatar/package_path.h"

namespace lipcast::avatar {

Result<ImagePattern> ImagePattern::Parse(std::string_view pattern) {
  const Status refusal(Code::kInvalidArgument,
                       fmt::format("'{}': want a path with one %d or %0Nd in its last part that"
                                   " ends in .png, .jpg or .jpeg, e.g. frames/%06d.png",
                                   ShownText(pattern, 80)));
  LC_RETURN_IF_ERROR(CheckPackagePath(pattern));
  const size_t percent = pattern.find('%');
  if (percent == std::string_view::npos || pattern.find('%', percent + 1) != pattern.npos ||
      pattern.find('/', percent) != pattern.npos) {
    return refusal;
  }
  ImagePattern parsed;
  parsed.before_ = pattern.substr(0, percent);
  std::string_view rest = pattern.substr(percent + 1);
  if (rest.size() >= 2 && rest[0] == '0' && rest[1] >= '1' && rest[1] <= '9') {
    parsed.digits_ = rest[1] - '0';
    rest.remove_prefix(2);
  }
  if (!rest.starts_with('d')) return refusal;
  parsed.after_ = rest.substr(1);
  for (const std::string_view ending : {".png", ".jpg", ".jpeg"}) {
    if (parsed.after_.ends_with(ending)) return parsed;
  }
  return refusal;
}

std::string ImagePattern::Name(int64_t number) const {
  return fmt::format("{}{:0{}d}{}", before_, number, digits_, after_);
}

}  // namespace lipcast::avatar
