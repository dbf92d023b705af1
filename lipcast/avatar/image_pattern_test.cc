#include "lipcast/avatar/image_pattern.h"

#include <gtest/gtest.h>

namespace lipcast::avatar {
namespace {

std::string NameOf(std::string_view pattern, int64_t number) {
  const auto parsed = ImagePattern::Parse(pattern);
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
  return parsed.ok() ? parsed->Name(number) : "";
}

TEST(ImagePattern, NumbersArePaddedAndMayGrow) {
  EXPECT_EQ(NameOf("frames/%06d.png", 0), "frames/000000.png");
  EXPECT_EQ(NameOf("frames/%06d.png", 12'345'678), "frames/12345678.png");
  EXPECT_EQ(NameOf("%d.jpg", 17), "17.jpg");
  EXPECT_EQ(NameOf("кадр {x} %02d.jpeg", 3), "кадр {x} 03.jpeg");
}

TEST(ImagePattern, RefusesWhatDoesNotNameASequence) {
  for (const std::string_view bad :
       {"frames/a.png", "%d%d.png", "%s.png", "%6d.png", "%00d.png", "%012d.png", "%d/a.png",
        "%06d.gif", "%06d", "%", "%0", "../%d.png", "/%d.png", "%%d.png", "%n.png"}) {
    EXPECT_FALSE(ImagePattern::Parse(bad).ok()) << bad;
  }
  EXPECT_EQ(ImagePattern::Parse("a.png").status().message(),
            "'a.png': want a path with one %d or %0Nd in its last part that ends in .png, .jpg or"
            " .jpeg, e.g. frames/%06d.png");
}

}  // namespace
}  // namespace lipcast::avatar
