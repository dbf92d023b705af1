#include "lipcast/server/http_file.h"

#include <gtest/gtest.h>

namespace lipcast::server {
namespace {

void ExpectRange(std::string_view header, uint64_t bytes, int code, uint64_t first,
                 uint64_t count) {
  const ByteRange range = ParseRange(header, bytes);
  EXPECT_EQ(range.code, code) << header;
  EXPECT_EQ(range.first, first) << header;
  EXPECT_EQ(range.count, count) << header;
}

TEST(ParseRange, TakesOneRangeOfBytesWithinTheFile) {
  ExpectRange("bytes=0-0", 100, 206, 0, 1);
  ExpectRange("bytes=10-19", 100, 206, 10, 10);
  ExpectRange("bytes=10-", 100, 206, 10, 90);
  ExpectRange("bytes=99-1000", 100, 206, 99, 1);
  ExpectRange("bytes=-30", 100, 206, 70, 30);
  ExpectRange("bytes=-300", 100, 206, 0, 100);
  ExpectRange("bytes=0-18446744073709551615", 100, 206, 0, 100);
}

TEST(ParseRange, RefusesWhatTheFileDoesNotHave) {
  ExpectRange("bytes=100-", 100, 416, 0, 0);
  ExpectRange("bytes=100-200", 100, 416, 0, 0);
  ExpectRange("bytes=-0", 100, 416, 0, 0);
  ExpectRange("bytes=0-", 0, 416, 0, 0);
  ExpectRange("bytes=-5", 0, 416, 0, 0);
}

TEST(ParseRange, IgnoresWhatIsNoRange) {
  for (const std::string_view header :
       {"", "bytes", "bytes=", "bytes=-", "bytes=5", "bytes=9-3", "bytes=a-b", "bytes=0-1,5-6",
        "bytes=0x1-2", "bytes= 1-2", "bytes=-1-2", "lines=1-2", "bytes=18446744073709551616-"}) {
    ExpectRange(header, 100, 200, 0, 100);
  }
}

}  // namespace
}  // namespace lipcast::server
