#include "lipcast/avatar/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace lipcast::avatar {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

std::string Refusal(std::string_view text) {
  const auto value = ParseJson(text);
  EXPECT_EQ(value.status().code(), Code::kInvalidArgument) << text;
  return value.status().message();
}

TEST(JsonReader, BrokenTextIsRefusedInOneLineWithItsPlace) {
  EXPECT_THAT(Refusal("{\n\"a\": }"), HasSubstr("line 2, column"));
  EXPECT_THAT(Refusal(""), StartsWith("not JSON: "));
  EXPECT_THAT(Refusal("{} {}"), StartsWith("not JSON: "));
  EXPECT_THAT(Refusal("{\"a\": \"\xff\"}"), StartsWith("not JSON: "));
  EXPECT_THAT(Refusal("{\"a\": 1e999}"), StartsWith("not JSON: "));
  EXPECT_EQ(Refusal("{\"a\n\": }").find('\n'), std::string::npos);
}

TEST(JsonReader, AKeyThatStandsTwiceIsRefusedAtAnyDepth) {
  EXPECT_EQ(Refusal(R"({"a": 1, "b": 2, "a": 3})"),
            "the key \"a\" stands twice in one object: want it once");
  EXPECT_THAT(Refusal(R"({"a": {"c": [{"d": 1, "d": 1}]}})"), StartsWith("the key \"d\""));
  // The same key in two objects is two keys.
  EXPECT_TRUE(ParseJson(R"({"a": {"b": {"a": 1}, "c": 1}, "b": {"a": 1, "c": {"a": 2}}})").ok());
}

TEST(JsonReader, DepthIsLimited) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(ParseJson(nested(kMaxJsonDepth)).ok());
  EXPECT_EQ(Refusal(nested(100'000)), "nested deeper than 16 levels");
}

TEST(JsonReader, KeepsTheFirstFaultAndGivesDefaultsAfterIt) {
  const json value = json::parse(R"({"a": "x", "b": 300, "c": "ok"})");
  Status status;
  ObjectReader object(value, "top", {"a", "b", "c"}, &status);
  EXPECT_EQ(object.Int("a", 3, 9), 3);
  EXPECT_EQ(object.Int("b", 1, 200), 1);
  EXPECT_EQ(object.String("c", 1, 5), "");
  EXPECT_EQ(status.message(), "top.a = \"x\": want an integer 3..9");
}

TEST(JsonReader, IntegersNeverWrap) {
  const json value = json::parse(R"({"big": 18446744073709551615, "low": -9223372036854775808,
                                     "real": 3.0, "good": 9223372036854775807})");
  const auto fault = [&](std::string_view key) {
    Status status;
    ObjectReader(value, "", {"big", "low", "real", "good"}, &status).Int(key, 0, INT64_MAX);
    return status.message();
  };
  EXPECT_EQ(fault("big"), "big = 18446744073709551615: want 0..9223372036854775807");
  EXPECT_EQ(fault("low"), "low = -9223372036854775808: want 0..9223372036854775807");
  EXPECT_EQ(fault("real"), "real = 3.0: want an integer 0..9223372036854775807");
  EXPECT_EQ(fault("good"), "");
  EXPECT_EQ(fault("none"), "none: missing, want 0..9223372036854775807");
}

TEST(JsonReader, TextsAndChoicesSayWhatTheyWant) {
  const json value = json::parse(R"({"t": "a\nb", "long": "abcdef", "n": 7, "c": "mid"})");
  const auto fault = [&](auto read) {
    Status status;
    ObjectReader object(value, "o", {"t", "long", "n", "c"}, &status);
    read(object);
    return status.message();
  };
  EXPECT_EQ(fault([](ObjectReader& o) { o.String("t", 0, 9); }),
            "o.t = \"a\\nb\": want a text without control characters");
  EXPECT_EQ(fault([](ObjectReader& o) { o.String("long", 0, 5); }),
            "o.long = \"abcdef\": want a text of 0..5 bytes");
  EXPECT_EQ(fault([](ObjectReader& o) { o.String("n", 1, 5); }),
            "o.n = 7: want a text of 1..5 bytes");
  using Pair = std::pair<std::string_view, int>;
  const auto choose = [](ObjectReader& o) {
    static constexpr std::array kSides{Pair{"left", 1}, Pair{"right", 2}};
    return o.Choice<int>("c", kSides);
  };
  EXPECT_EQ(fault(choose), "o.c = \"mid\": want \"left\", \"right\"");
}

TEST(JsonReader, ALongValueIsShownShort) {
  EXPECT_LT(ShownJson(json(std::string(10'000, 'x'))).size(), 90u);
  EXPECT_THAT(ShownJson(json(std::string(10'000, 'x'))), testing::EndsWith("..."));
}

}  // namespace
}  // namespace lipcast::avatar
