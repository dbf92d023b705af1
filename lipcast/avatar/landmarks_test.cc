#include "lipcast/avatar/landmarks.h"

#include <gtest/gtest.h>

#include <string>

namespace lipcast::avatar {
namespace {

/// 68 lines "x y", with x = 10 + i and y = 100 + i, but the three that make the box.
std::string Landmarks(const std::string& left, const std::string& right, const std::string& top,
                      int lines = 68, const std::string& end = "\n") {
  std::string text;
  for (int i = 0; i < lines; ++i) {
    const std::string plain_x = std::to_string(10 + i), plain_y = std::to_string(100 + i);
    text += (i == 1 ? left : i == 31 ? right : plain_x) + " " + (i == 52 ? top : plain_y) + end;
  }
  return text;
}

Rect BoxOf(const std::string& text) {
  const auto box = BoxFromLandmarks(text);
  EXPECT_TRUE(box.ok()) << box.status().ToString();
  if (!box.ok() || !box->has_value()) return {};
  return **box;
}

TEST(Landmarks, BoxIsSquareFromThreeTruncatedLandmarks) {
  EXPECT_EQ(BoxOf(Landmarks("548", "732", "328")), (Rect{548, 328, 732, 512}));
  // Each coordinate is truncated before the width is taken: 732 - 548, not int(184.8).
  EXPECT_EQ(BoxOf(Landmarks("548.1", "732.9", "328.7")), (Rect{548, 328, 732, 512}));
  EXPECT_EQ(BoxOf(Landmarks("-3.7", "20", "-8.9")), (Rect{-3, -8, 20, 15}));
  EXPECT_EQ(BoxOf(Landmarks("1e2", "2E2", "3.0e1")), (Rect{100, 30, 200, 130}));
}

TEST(Landmarks, LineEndsAndBlanksDoNotMatter) {
  const Rect want{548, 328, 732, 512};
  EXPECT_EQ(BoxOf(Landmarks("548", "732", "328", 68, "\r\n")), want);
  EXPECT_EQ(BoxOf("\n" + Landmarks("548", "732", "\t328", 68, " \n\n")), want);
  std::string unended = Landmarks("548", "732", "328", 53);
  unended.pop_back();
  EXPECT_EQ(BoxOf(unended), want);
}

TEST(Landmarks, NoFaceIsAnAnswerNotAnError) {
  for (const std::string& text :
       {std::string(), std::string(" \n\r\n"), Landmarks("548", "732", "328", 51),
        Landmarks("548", "732", "328", 52), Landmarks("nan", "732", "328"),
        Landmarks("548", "NaN", "328"), Landmarks("548", "732", "-nan"),
        Landmarks("548", "inf", "328"), Landmarks("548", "732", "1e39"),
        Landmarks("-2000000", "732", "328"), Landmarks("732", "548", "328"),
        Landmarks("548.2", "548.9", "328")}) {
    const auto box = BoxFromLandmarks(text);
    ASSERT_TRUE(box.ok()) << box.status().ToString();
    EXPECT_FALSE(box->has_value()) << text.substr(0, 60);
  }
  const auto face = BoxFromLandmarks(Landmarks("548", "732", "328", 53));
  ASSERT_TRUE(face.ok());
  EXPECT_TRUE(face->has_value()) << "53 lines are enough";
}

TEST(Landmarks, WhatIsNoLandmarksFileIsRefusedWithItsLine) {
  const auto refusal = [](const std::string& text) {
    const auto box = BoxFromLandmarks(text);
    EXPECT_EQ(box.status().code(), Code::kInvalidArgument) << text;
    return box.status().message();
  };
  EXPECT_EQ(refusal("1 2\n3 x\n"), "landmarks line 2 = '3 x': want 'x y'");
  EXPECT_EQ(refusal("1\n"), "landmarks line 1 = '1': want 'x y'");
  EXPECT_EQ(refusal("1 2 3"), "landmarks line 1 = '1 2 3': want 'x y'");
  EXPECT_EQ(refusal("1,2"), "landmarks line 1 = '1,2': want 'x y'");
  EXPECT_EQ(refusal(std::string("\x89PNG\r\n", 6)), "landmarks line 1 = '\\x89PNG': want 'x y'");
  EXPECT_EQ(refusal(std::string(kMaxLandmarksBytes + 1, ' ')),
            "landmarks of 1048577 bytes: want at most 1048576");
}

}  // namespace
}  // namespace lipcast::avatar
