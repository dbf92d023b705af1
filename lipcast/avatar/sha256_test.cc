#include "lipcast/avatar/sha256.h"

#include <gtest/gtest.h>

#include <string_view>

namespace lipcast::avatar {
namespace {

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// The two vectors of FIPS 180-2, appendix B.
constexpr std::string_view kShort = "abc";
constexpr std::string_view kShortSum =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view kLong = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
constexpr std::string_view kLongSum =
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";

TEST(Sha256, EqualsTheStandardsVectors) {
  EXPECT_EQ(*Sha256Of(Bytes(kShort)), kShortSum);
  EXPECT_EQ(*Sha256Of(Bytes(kLong)), kLongSum);
}

TEST(Sha256, PiecesGiveTheSameSum) {
  for (size_t piece = 1; piece <= kLong.size(); ++piece) {
    Sha256 sum;
    for (size_t at = 0; at < kLong.size(); at += piece) sum.Update(Bytes(kLong.substr(at, piece)));
    EXPECT_EQ(*sum.HexDigest(), kLongSum) << piece;
  }
}

TEST(Sha256, ASumIsReadOnce) {
  Sha256 sum;
  sum.Update(Bytes(kShort));
  EXPECT_TRUE(sum.HexDigest().ok());
  EXPECT_EQ(sum.HexDigest().status().code(), Code::kInternal);
}

}  // namespace
}  // namespace lipcast::avatar
