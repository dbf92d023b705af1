#pragma once

#include "lipcast/avatar/avatar.h"
#include "lipcast/base/picture.h"

namespace lipcast::cli {

/// Up to 20 frames spread over the avatar, four columns, each with its face box outlined.
Result<Picture> DrawContactSheet(const avatar::Avatar& avatar);

}  // namespace lipcast::cli
