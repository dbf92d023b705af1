#pragma once

#include <string>

#include "lipcast/base/picture.h"
#include "lipcast/base/status.h"
#include "lipcast/server/avatar_registry.h"

namespace lipcast::server {

/// The mean of each factor x factor block: kI420 and kBgr24 stay what they are, kBgra32 becomes
/// kBgr24 over white. Sides that the factor does not divide lose their last few pixels.
/// kInvalidArgument for a factor < 1 or above a side, or for another format.
Result<Picture> Shrunk(const PictureView& picture, int factor);

/// The avatar's first frame as a JPEG of about 320 px width, of the package where it is not loaded:
/// no model is read for it. Takes its time. Errors are those of the package's files and codecs.
Result<std::string> AvatarPicture(const AvatarEntry& entry);

}  // namespace lipcast::server
