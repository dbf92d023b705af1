#include "lipcast/avatar/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "lipcast/avatar/test_package.h"

namespace lipcast::avatar {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

/// SmallManifest with made-up sizes and hashes.
json Listed() {
  json manifest = SmallManifest();
  for (auto& [name, entry] : manifest["files"].items()) {
    entry = {{"sha256", std::string(64, 'a')}, {"bytes", 5}};
  }
  return manifest;
}

json Images() {
  json manifest = Listed();
  manifest["frames"] = {{"kind", "images"}, {"path", "frames/%06d.png"}, {"first", 1}};
  manifest["files"].erase("frames.mp4");
  return manifest;
}

json Wav2Lip() {
  json manifest = Listed();
  manifest["generator"]["family"] = "wav2lip";
  manifest["audio"] = {{"kind", "mel"}, {"fps", {{"num", 25}, {"den", 1}}}};
  return manifest;
}

using Change = std::function<void(json&)>;

Manifest Parsed(const json& manifest) {
  auto parsed = ParseManifest(manifest.dump());
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
  return parsed.ok() ? *std::move(parsed) : Manifest();
}

std::string Refusal(const Change& change, json manifest = Listed()) {
  change(manifest);
  const auto parsed = ParseManifest(manifest.dump());
  EXPECT_EQ(parsed.status().code(), Code::kInvalidArgument);
  return parsed.status().message();
}

TEST(Manifest, ReadsEveryField) {
  json source = Listed();
  source["generator"]["mask_image"] = "mask.png";
  source["files"]["mask.png"] = {{"sha256", std::string(64, '0')}, {"bytes", 77}};
  source["fps"] = {{"num", 30'000}, {"den", 1'001}};
  const Manifest manifest = Parsed(source);
  EXPECT_EQ(manifest.name, "small");
  EXPECT_EQ(manifest.title, "A small one");
  EXPECT_EQ(manifest.fps, (Rational{30'000, 1'001}));
  EXPECT_EQ(manifest.frame_count, 10);
  EXPECT_EQ(manifest.width, 32);
  EXPECT_EQ(manifest.height, 24);
  EXPECT_EQ(manifest.order, Order::kBounce);
  EXPECT_EQ(manifest.matrix, ColorMatrix::kBt709);
  EXPECT_EQ(manifest.range, ColorRange::kLimited);
  EXPECT_EQ(manifest.frames.kind, FramesKind::kVideo);
  EXPECT_EQ(manifest.frames.path, "frames.mp4");
  EXPECT_EQ(manifest.boxes, "boxes.json");
  EXPECT_EQ(manifest.idle.first, 2);
  EXPECT_EQ(manifest.idle.count, 5);
  EXPECT_EQ(manifest.generator.family, GeneratorFamily::kSyncTalk);
  EXPECT_EQ(manifest.generator.model, "generator.onnx");
  EXPECT_EQ(manifest.generator.mouth.inner_px, 160);
  EXPECT_EQ(manifest.generator.mouth.border_px, 4);
  EXPECT_EQ(manifest.generator.mouth.mask, (Rect{5, 5, 155, 150}));
  EXPECT_EQ(manifest.generator.mouth.feather_px, 3);
  EXPECT_FALSE(manifest.generator.mouth.masked_first);
  EXPECT_EQ(manifest.generator.mask_image, "mask.png");
  EXPECT_EQ(manifest.audio.kind, AudioKind::kAve);
  EXPECT_EQ(manifest.audio.model, "audio_encoder.onnx");
  EXPECT_EQ(manifest.audio.padding, MelPadding::kZero);
  EXPECT_EQ(manifest.audio.fps, (Rational{25, 1}));
  EXPECT_EQ(manifest.files.size(), 5u);
  EXPECT_EQ(manifest.files.at("mask.png").bytes, 77);
  EXPECT_EQ(manifest.files.at("mask.png").sha256, std::string(64, '0'));
  EXPECT_EQ(manifest.provenance, "made by a test");
  EXPECT_EQ(manifest.licence, "CC0-1.0");
}

/// With a generator in two parts.
json InTwoParts() {
  json manifest = Listed();
  manifest["generator"]["split"] = {
      {"image", "image.onnx"}, {"audio", "audio.onnx"}, {"source_sha256", std::string(64, 'a')}};
  for (const char* name : {"image.onnx", "audio.onnx"}) {
    manifest["files"][name] = {{"sha256", std::string(64, 'b')}, {"bytes", 9}};
  }
  return manifest;
}

TEST(Manifest, ReadsAGeneratorInTwoParts) {
  const Manifest manifest = Parsed(InTwoParts());
  ASSERT_TRUE(manifest.generator.split);
  EXPECT_EQ(manifest.generator.split->image, "image.onnx");
  EXPECT_EQ(manifest.generator.split->audio, "audio.onnx");
  EXPECT_EQ(manifest.generator.split->source_sha256, std::string(64, 'a'));
  EXPECT_FALSE(Parsed(Listed()).generator.split);
}

TEST(Manifest, RefusesPartsOfAnotherNetworkThanItsModel) {
  EXPECT_EQ(Refusal([](json& m) { m["files"]["generator.onnx"]["sha256"] = std::string(64, 'c'); },
                    InTwoParts()),
            "generator.split.source_sha256 = " + std::string(64, 'a') + ": want " +
                std::string(64, 'c') +
                ", that of generator.model: the parts are of another network");
}

TEST(Manifest, RefusesPartsThatAreNotListedOrNotWhole) {
  EXPECT_THAT(Refusal([](json& m) { m["files"].erase("audio.onnx"); }, InTwoParts()),
              StartsWith("generator.split.audio = \"audio.onnx\": want it listed in files"));
  EXPECT_THAT(Refusal([](json& m) { m["files"].erase("image.onnx"); }, InTwoParts()),
              StartsWith("generator.split.image = \"image.onnx\": want it listed in files"));
  for (const char* key : {"image", "audio", "source_sha256"}) {
    EXPECT_THAT(Refusal([&](json& m) { m["generator"]["split"].erase(key); }, InTwoParts()),
                HasSubstr(std::string("generator.split.") + key));
  }
  EXPECT_THAT(Refusal([](json& m) { m["generator"]["split"]["image"] = "../x"; }, InTwoParts()),
              StartsWith("generator.split.image"));
}

/// With a twin in 8 bits beside the two parts.
json WithInt8() {
  json manifest = InTwoParts();
  manifest["generator"]["int8"] = {{"model", "int8.onnx"}, {"source_sha256", std::string(64, 'a')}};
  manifest["generator"]["variant"] = "int8";
  manifest["files"]["int8.onnx"] = {{"sha256", std::string(64, 'd')}, {"bytes", 5}};
  return manifest;
}

TEST(Manifest, TheVariantIsTheOneNamedAndElseThePartsWhereThereAreAny) {
  EXPECT_EQ(Parsed(Listed()).generator.variant, GeneratorVariant::kFull);
  EXPECT_EQ(Parsed(InTwoParts()).generator.variant, GeneratorVariant::kSplit);
  const Manifest manifest = Parsed(WithInt8());
  EXPECT_EQ(manifest.generator.variant, GeneratorVariant::kInt8);
  EXPECT_EQ(manifest.generator.int8->model, "int8.onnx");
  EXPECT_FALSE(manifest.generator.int8->image);
  json full = WithInt8();
  full["generator"]["variant"] = "full";
  EXPECT_EQ(Parsed(full).generator.variant, GeneratorVariant::kFull);
}

TEST(Manifest, RefusesAVariantOrATwinThatDoesNotFit) {
  EXPECT_EQ(Refusal([](json& m) { m["generator"].erase("int8"); }, WithInt8()),
            "generator.variant = \"int8\": want generator.int8 beside it");
  EXPECT_THAT(Refusal([](json& m) { m["generator"]["variant"] = "int4"; }, WithInt8()),
              StartsWith("generator.variant = \"int4\": want"));
  EXPECT_THAT(Refusal([](json& m) { m["files"].erase("int8.onnx"); }, WithInt8()),
              StartsWith("generator.int8.model = \"int8.onnx\": want it listed in files"));
  EXPECT_THAT(Refusal([](json& m) { m["generator"]["int8"]["image"] = "i.onnx"; }, WithInt8()),
              StartsWith("generator.int8.image = \"i.onnx\": want it listed in files"));
  EXPECT_EQ(Refusal([](json& m) { m["generator"]["int8"]["source_sha256"] = std::string(64, 'c'); },
                    WithInt8()),
            "generator.int8.source_sha256 = " + std::string(64, 'c') + ": want " +
                std::string(64, 'a') + ", that of generator.model: the twin is of another network");
}

TEST(Manifest, WhatMayBeLeftOutHasItsDefault) {
  json source = Listed();
  for (const char* key : {"title", "color", "idle", "provenance", "licence"}) source.erase(key);
  source["generator"].erase("feather_px");
  source["audio"].erase("padding");
  const Manifest manifest = Parsed(source);
  EXPECT_EQ(manifest.title + manifest.provenance + manifest.licence, "");
  EXPECT_EQ(manifest.idle.first, 0);
  EXPECT_EQ(manifest.idle.count, 10);
  EXPECT_EQ(manifest.generator.mouth.feather_px, 0);
  EXPECT_FALSE(manifest.generator.mask_image.has_value());
  EXPECT_EQ(manifest.audio.padding, MelPadding::kZero);
}

TEST(Manifest, ImagesAreNumberedFromTheirFirst) {
  json source = Images();
  EXPECT_EQ(Parsed(source).ImageName(0), "frames/000001.png");
  EXPECT_EQ(Parsed(source).ImageName(9), "frames/000010.png");
  source["frames"].erase("first");
  EXPECT_EQ(Parsed(source).ImageName(9), "frames/000009.png");
}

TEST(Manifest, TheFamilySaysWhichCopyIsMaskedAndWhatIsHeard) {
  const Manifest wav2lip = Parsed(Wav2Lip());
  EXPECT_TRUE(wav2lip.generator.mouth.masked_first);
  EXPECT_EQ(wav2lip.generator.mouth.kernel, ResizeKernel::kLinear);
  EXPECT_EQ(Parsed(Listed()).generator.mouth.kernel, ResizeKernel::kCubic);
  EXPECT_EQ(wav2lip.audio.padding, MelPadding::kReflect);
  EXPECT_EQ(wav2lip.audio.model, "");
  json wenet = Listed();
  wenet["generator"]["family"] = "ultralight";
  wenet["audio"]["kind"] = "wenet";
  wenet["audio"]["fps"]["num"] = 20;
  EXPECT_EQ(Parsed(wenet).audio.fps, (Rational{20, 1}));
  EXPECT_EQ(Refusal([](json& m) { m["audio"]["kind"] = "mel", m["audio"].erase("model"); }),
            "audio.kind = \"mel\": want a kind that generator.family \"synctalk\" hears (synctalk:"
            " ave; ultralight: hubert, wenet; wav2lip: mel)");
  EXPECT_EQ(Refusal([](json& m) { m["audio"]["model"] = "a.onnx"; }, Wav2Lip()),
            "audio.model: want none where kind is \"mel\", which needs no encoder");
}

TEST(Manifest, ARateThatIsNotTheModelsIsRefusedWithBothNumbers) {
  EXPECT_EQ(Refusal([](json& m) { m["audio"]["fps"]["num"] = 20; }),
            "audio.fps = 20: want 25, the rate of the model of audio.kind \"ave\"");
  EXPECT_EQ(Refusal([](json& m) {
              m["generator"]["family"] = "ultralight";
              m["audio"]["kind"] = "wenet";
            }),
            "audio.fps = 25: want 20, the rate of the model of audio.kind \"wenet\"");
  json doubled = Listed();
  doubled["audio"]["fps"] = {{"num", 50}, {"den", 2}};
  EXPECT_EQ(Parsed(doubled).audio.fps, (Rational{25, 1}));
}

TEST(Manifest, FrameRatesFrom1To120AreTaken) {
  const auto with = [](int64_t num, int64_t den) {
    json manifest = Listed();
    manifest["fps"] = {{"num", num}, {"den", den}};
    return ParseManifest(manifest.dump()).status().message();
  };
  for (const auto& [num, den] : {std::pair{1, 1},
                                 {10, 1},
                                 {25, 2},
                                 {24, 1},
                                 {24'000, 1'001},
                                 {30, 1},
                                 {50, 1},
                                 {60, 1},
                                 {120, 1},
                                 {1'000'000, 1'000'000}}) {
    EXPECT_EQ(with(num, den), "");
  }
  EXPECT_EQ(with(121, 1), "fps = 121/1: want 1..120");
  EXPECT_EQ(with(1, 2), "fps = 1/2: want 1..120");
  EXPECT_EQ(with(240'001, 2'000), "fps = 240001/2000: want 1..120");
  EXPECT_EQ(with(0, 1), "fps.num = 0: want 1..1000000");
  EXPECT_EQ(with(25, 0), "fps.den = 0: want 1..1000000");
  EXPECT_EQ(with(25, -1), "fps.den = -1: want 1..1000000");
  EXPECT_EQ(Refusal([](json& m) { m["fps"] = 29.97; }), "fps = 29.97: want an object {..}");
}

TEST(Manifest, RefusalsNameFieldValueAndLimit) {
  EXPECT_EQ(Refusal([](json& m) { m["generator"]["border_px"] = -1; }),
            "generator.border_px = -1: want 0..256");
  EXPECT_EQ(Refusal([](json& m) { m["generator"]["border_px"] = "4"; }),
            "generator.border_px = \"4\": want an integer 0..256");
  EXPECT_EQ(Refusal([](json& m) { m["generator"].erase("border_px"); }),
            "generator.border_px: missing, want 0..256");
  EXPECT_EQ(Refusal([](json& m) { m["generator"]["bordr_px"] = 4; }),
            "generator.bordr_px: unknown key, want one of family, model, inner_px, border_px, mask,"
            " feather_px, mask_image, split, int8, variant");
  EXPECT_THAT(Refusal([](json& m) { m["shape"] = 1; }), StartsWith("shape: unknown key, want"));
  EXPECT_EQ(Refusal([](json& m) { m["generator"]["mask"]["width"] = 156; }),
            "generator.mask = columns 5..161, rows 5..150: want at least one pixel, all inside the"
            " inner square 0..160");
  EXPECT_EQ(Refusal([](json& m) { m["generator"]["feather_px"] = 81; }),
            "generator.feather_px = 81: want 0..80");
  EXPECT_EQ(Refusal([](json& m) { m["frame_count"] = 0; }), "frame_count = 0: want 1..1000000");
  EXPECT_EQ(Refusal([](json& m) { m["width"] = 8193; }), "width = 8193: want 1..8192");
  EXPECT_EQ(Refusal([](json& m) { m["order"] = "pingpong"; }),
            "order = \"pingpong\": want \"loop\", \"bounce\", \"hold\"");
  EXPECT_EQ(Refusal([](json& m) { m["color"]["matrix"] = "bt601"; }),
            "color.matrix = \"bt601\": want \"bt709\"");
  EXPECT_EQ(Refusal([](json& m) { m["color"]["range"] = "full"; }),
            "color.range = \"full\": want \"limited\"");
  EXPECT_EQ(Refusal([](json& m) { m["idle"]["count"] = 9; }),
            "idle = frames 2..10: want at least one, all in 0..9");
  EXPECT_EQ(Refusal([](json& m) { m["name"] = ""; }), "name = \"\": want a text of 1..200 bytes");
  EXPECT_EQ(Refusal([](json& m) { m["name"] = "a/b"; }), "name = \"a/b\": want a name without '/'");
  EXPECT_EQ(Refusal([](json& m) { m["frames"]["first"] = 0; }),
            "frames.first: want it only where kind is \"images\"");
  EXPECT_THAT(Refusal([](json& m) { m["frames"]["path"] = "frames/1.png"; }, Images()),
              StartsWith("frames.path: 'frames/1.png': want a path with one %d"));
}

TEST(Manifest, OtherFormatsAndVersionsAreToldApart) {
  EXPECT_EQ(Refusal([](json& m) { m["format"] = "gltf"; }),
            "format = \"gltf\": want \"lipcast-avatar\"");
  EXPECT_EQ(Refusal([](json& m) { m["schema_version"] = 2, m["new_field"] = 1; }),
            "schema_version = 2: want 1, all that this program reads");
  EXPECT_EQ(Refusal([](json& m) { m["schema_version"] = "1"; }),
            "schema_version = \"1\": want 1, all that this program reads");
  EXPECT_EQ(Refusal([](json& m) { m = json::array(); }), "the whole = []: want an object {..}");
  EXPECT_EQ(ParseManifest(std::string(kMaxManifestBytes + 1, ' ')).status().message(),
            "has 16777217 bytes: want at most 16777216");
}

TEST(Manifest, PathsThatLeaveThePackageAreRefused) {
  EXPECT_EQ(Refusal([](json& m) { m["boxes"] = "../boxes.json"; }),
            "boxes: '../boxes.json' goes upwards: want a relative path inside the package, e.g."
            " frames.mp4");
  EXPECT_THAT(Refusal([](json& m) { m["generator"]["model"] = "/m.onnx"; }),
              StartsWith("generator.model: '/m.onnx' is absolute"));
  EXPECT_THAT(Refusal([](json& m) { m["generator"]["mask_image"] = "a/../../m.png"; }),
              StartsWith("generator.mask_image: 'a/../../m.png' goes upwards"));
  EXPECT_THAT(Refusal([](json& m) { m["audio"]["model"] = "..\\m.onnx"; }),
              HasSubstr("has a backslash"));
  EXPECT_THAT(Refusal([](json& m) { m["frames"]["path"] = "x/../../v.mp4"; }),
              StartsWith("frames.path: "));
  EXPECT_THAT(Refusal([](json& m) { m["frames"]["path"] = "../%d.png"; }, Images()),
              StartsWith("frames.path: "));
  EXPECT_THAT(Refusal([](json& m) { m["files"]["../x"] = m["files"]["boxes.json"]; }),
              StartsWith("files: '../x' goes upwards"));
}

TEST(Manifest, EveryFileReferredToMustBeListed) {
  const auto without = [](const char* file) {
    return Refusal([file](json& m) { m["files"].erase(file); });
  };
  EXPECT_EQ(without("boxes.json"),
            "boxes = \"boxes.json\": want it listed in files, with sha256 and bytes");
  EXPECT_THAT(without("frames.mp4"), StartsWith("frames.path = \"frames.mp4\""));
  EXPECT_THAT(without("generator.onnx"), StartsWith("generator.model = "));
  EXPECT_THAT(without("audio_encoder.onnx"), StartsWith("audio.model = "));
  EXPECT_THAT(Refusal([](json& m) { m["generator"]["mask_image"] = "mask.png"; }),
              StartsWith("generator.mask_image = "));
}

TEST(Manifest, FileEntriesAreChecked) {
  const auto entry = [](json value) {
    return Refusal([&](json& m) { m["files"]["boxes.json"] = value; });
  };
  EXPECT_EQ(entry(5), "files.\"boxes.json\" = 5: want an object {..}");
  EXPECT_EQ(entry({{"sha256", "abc"}, {"bytes", 1}}),
            "files.\"boxes.json\".sha256 = \"abc\": want a text of 64..64 bytes");
  EXPECT_THAT(entry({{"sha256", std::string(64, 'A')}, {"bytes", 1}}),
              EndsWith("want 64 lower-case hex digits"));
  EXPECT_EQ(entry({{"sha256", std::string(64, 'a')}, {"bytes", -1}}),
            "files.\"boxes.json\".bytes = -1: want 0..1099511627776");
  EXPECT_THAT(entry({{"sha256", std::string(64, 'a')}}), HasSubstr("bytes: missing"));
  EXPECT_EQ(Refusal([](json& m) { m["files"] = 1; }),
            "files = 1: want an object {\"name\": {\"sha256\": .., \"bytes\": ..}, ..}");
  EXPECT_EQ(Refusal([](json& m) { m["files"]["avatar.json"] = m["files"]["boxes.json"]; }),
            "files.\"avatar.json\": want every file but the manifest itself");
}

TEST(Manifest, NamesAreThoseOfTheFile) {
  EXPECT_EQ(Name(Order::kBounce), "bounce");
  EXPECT_EQ(Name(FramesKind::kImages), "images");
  EXPECT_EQ(Name(GeneratorFamily::kUltralight), "ultralight");
  EXPECT_EQ(Name(AudioKind::kWenet), "wenet");
  EXPECT_EQ(Name(MelPadding::kReflect), "reflect");
}

TEST(Manifest, SurvivesBrokenTextsAndExplainsThemInOneLine) {
  const std::string good = Listed().dump();
  std::mt19937 random(20'251'125);
  int refused = 0;
  for (int round = 0; round < 5'000; ++round) {
    std::string text = good;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 20);
          break;
        case 2:
          text.insert(at, 1, "{}[],:\"\\-0e\n\xff"[random() % 13]);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 20));
          break;
      }
      if (text.empty()) text = " ";
    }
    const auto manifest = ParseManifest(text);
    if (manifest.ok()) {
      ASSERT_TRUE(manifest->Validate().ok()) << text;
      continue;
    }
    ++refused;
    ASSERT_EQ(manifest.status().message().find('\n'), std::string::npos) << text;
    ASSERT_EQ(manifest.status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_GT(refused, 4'000);
}

}  // namespace
}  // namespace lipcast::avatar
