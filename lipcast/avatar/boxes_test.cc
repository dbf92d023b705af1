#include "lipcast/avatar/boxes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lipcast::avatar {
namespace {

using testing::StartsWith;

std::string Refusal(std::string_view json) {
  const auto boxes = ParseBoxes(json);
  EXPECT_EQ(boxes.status().code(), Code::kInvalidArgument) << json;
  return boxes.status().message();
}

std::string List(const std::string& boxes) {
  return R"({"schema_version":1,"boxes":[)" + boxes + "]}";
}

TEST(Boxes, ReadsBoxesAndFramesWithoutAFace) {
  const auto boxes =
      ParseBoxes("{\"boxes\": [[1,2,30,40], null,\n [0,0,8192,8192]], \"schema_version\": 1}");
  ASSERT_TRUE(boxes.ok()) << boxes.status().ToString();
  EXPECT_THAT(*boxes,
              testing::ElementsAre(Rect{1, 2, 30, 40}, std::nullopt, Rect{0, 0, 8192, 8192}));
  const auto none = ParseBoxes(List(""));
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->empty());
}

TEST(Boxes, EveryRefusalNamesTheEntryTheValueAndWhatIsWanted) {
  EXPECT_EQ(Refusal(List("null,[4,0,4,9]")), "boxes[1] = [4,0,4,9]: want x0 < x1 and y0 < y1");
  EXPECT_EQ(Refusal(List("[0,9,4,8]")), "boxes[0] = [0,9,4,8]: want x0 < x1 and y0 < y1");
  EXPECT_EQ(Refusal(List("[1,2,3]")), "boxes[0] has 3 numbers: want [x0,y0,x1,y1] or null");
  EXPECT_EQ(Refusal(List("[1,2,3,4,5]")), "boxes[0] has 5 numbers: want [x0,y0,x1,y1] or null");
  EXPECT_EQ(Refusal(List("[]")), "boxes[0] has 0 numbers: want [x0,y0,x1,y1] or null");
  EXPECT_EQ(Refusal(List("[1,2,3,-4]")), "boxes[0][3] = -4: want an integer 0..8192");
  EXPECT_EQ(Refusal(List("[1,2,8193,4]")), "boxes[0][2] = 8193: want an integer 0..8192");
  EXPECT_EQ(Refusal(List("[18446744073709551615,2,3,4]")),
            "boxes[0][0] = 18446744073709551615: want an integer 0..8192");
  EXPECT_EQ(Refusal(List("[1.5,2,3,4]")), "boxes[0][0] = 1.5: want an integer 0..8192");
  EXPECT_EQ(Refusal(List("[1,\"2\\n\",3,4]")), "boxes[0][1] = \"2\\x0a\": want an integer 0..8192");
  EXPECT_EQ(Refusal(List("[1,[2],3,4]")), "boxes[0][1] = [..]: want an integer 0..8192");
  EXPECT_EQ(Refusal(List("[1,null,3,4]")), "boxes[0][1] = null: want an integer 0..8192");
  EXPECT_EQ(Refusal(List("{}")), "boxes[0] = {..}: want [x0,y0,x1,y1] or null");
  EXPECT_EQ(Refusal(List("5")), "boxes[0] = 5: want [x0,y0,x1,y1] or null");
  EXPECT_EQ(Refusal(List("true")), "boxes[0] = true: want [x0,y0,x1,y1] or null");
}

TEST(Boxes, TheFramingIsStrictToo) {
  EXPECT_EQ(Refusal("[]"), "the whole = [..]: want an object {..}");
  EXPECT_EQ(Refusal("null"), "the whole = null: want an object {..}");
  EXPECT_EQ(Refusal("{}"), "schema_version: missing, want 1");
  EXPECT_EQ(Refusal(R"({"schema_version":1})"), "boxes: missing, want a list");
  EXPECT_EQ(Refusal(R"({"boxes":[]})"), "schema_version: missing, want 1");
  EXPECT_EQ(Refusal(R"({"schema_version":2,"boxes":[]})"), "schema_version = 2: want 1");
  EXPECT_EQ(Refusal(R"({"schema_version":"1"})"), "schema_version = \"1\": want 1");
  EXPECT_EQ(Refusal(R"({"boxes":null})"), "boxes = null: want a list");
  EXPECT_EQ(Refusal(R"({"boxes":[],"boxes":[]})"), "the key \"boxes\" stands twice: want it once");
  EXPECT_EQ(Refusal(R"({"rects":[]})"), "rects: unknown key, want one of schema_version, boxes");
  EXPECT_THAT(Refusal(""), StartsWith("not JSON: "));
  EXPECT_THAT(Refusal(List("[1,2,3,4")), StartsWith("not JSON: "));
  EXPECT_THAT(Refusal(List("") + "x"), StartsWith("not JSON: "));
  EXPECT_EQ(Refusal(std::string(kMaxBoxesBytes + 1, ' ')),
            "has 67108865 bytes: want at most 67108864");
}

TEST(Boxes, MoreThanAMillionFramesAreRefused) {
  std::string list = "null";
  for (int64_t i = 1; i < kMaxFrames; ++i) list += ",null";
  const auto all = ParseBoxes(List(list));
  ASSERT_TRUE(all.ok()) << all.status().ToString();
  EXPECT_EQ(static_cast<int64_t>(all->size()), kMaxFrames);
  EXPECT_EQ(Refusal(List(list + ",null")),
            "boxes has more than 1000000 entries: want at most that");
}

TEST(Boxes, MustMatchTheFramesAndStayInsideThePicture) {
  const Boxes boxes = {Rect{0, 0, 32, 24}, std::nullopt};
  EXPECT_TRUE(CheckBoxes(boxes, 2, 32, 24).ok());
  EXPECT_EQ(CheckBoxes(boxes, 3, 32, 24).message(), "boxes has 2 entries: want 3 (frame_count)");
  EXPECT_EQ(CheckBoxes(boxes, 2, 31, 24).message(), "boxes[0] = [0,0,32,24]: want it inside 31x24");
  EXPECT_FALSE(CheckBoxes(boxes, 2, 32, 23).ok());
  EXPECT_FALSE(CheckBoxes({Rect{-1, 0, 9, 9}}, 1, 32, 24).ok());
  EXPECT_FALSE(CheckBoxes({Rect{0, -1, 9, 9}}, 1, 32, 24).ok());
}

TEST(Boxes, FramesWithoutAFaceAreListedAsRanges) {
  Boxes boxes(250, Rect{0, 0, 2, 2});
  EXPECT_EQ(NoFaceNote(boxes), "");
  boxes[10] = boxes[11] = boxes[12] = std::nullopt;
  EXPECT_EQ(NoFaceNote(boxes), "3 of 250 frames have no face: 10-12");
  boxes[0] = boxes[249] = std::nullopt;
  EXPECT_EQ(NoFaceNote(boxes), "5 of 250 frames have no face: 0, 10-12, 249");
  for (size_t i = 20; i < 40; i += 2) boxes[i] = std::nullopt;
  EXPECT_EQ(NoFaceNote(boxes),
            "15 of 250 frames have no face: 0, 10-12, 20, 22, 24, 26, 28, 30, ..");
  EXPECT_EQ(NoFaceNote(Boxes(3)), "3 of 3 frames have no face: 0-2");
}

}  // namespace
}  // namespace lipcast::avatar
