// docs/avatar.schema.json, docs/avatar-format.md and avatars/demo against ParseManifest.
#include <gtest/gtest.h>

#include <algorithm>

#include "lipcast/avatar/manifest.h"
#include "lipcast/avatar/package_files.h"
#include "lipcast/avatar/test_package.h"

namespace lipcast::avatar {
namespace {

using nlohmann::json;

const std::filesystem::path kDocs = std::filesystem::path(LIPCAST_SOURCE_DIR) / "docs";

bool Accepts(const json& manifest) { return ParseManifest(manifest.dump()).ok(); }

/// A valid manifest in which every key of the schema stands.
json Full() {
  json manifest = SmallManifest();
  manifest["frames"] = {{"kind", "images"}, {"path", "frames/%06d.png"}, {"first", 0}};
  manifest["files"] = json::object();
  manifest["generator"]["mask_image"] = "mask.png";
  manifest["generator"]["split"] = {
      {"image", "image.onnx"}, {"audio", "audio.onnx"}, {"source_sha256", std::string(64, 'a')}};
  manifest["generator"]["int8"] = {
      {"model", "int8.onnx"}, {"image", "image.onnx"}, {"source_sha256", std::string(64, 'a')}};
  manifest["generator"]["variant"] = "full";  // what needs no other key
  for (const char* name : {"boxes.json", "generator.onnx", "audio_encoder.onnx", "mask.png",
                           "image.onnx", "audio.onnx", "int8.onnx"}) {
    manifest["files"][name] = {{"sha256", std::string(64, 'a')}, {"bytes", 1}};
  }
  return manifest;
}

class Walk {
 public:
  explicit Walk(json schema) : schema_(std::move(schema)), manifest_(Full()) {
    EXPECT_TRUE(ParseManifest(manifest_.dump()).ok())
        << ParseManifest(manifest_.dump()).status().ToString();
  }

  /// Tries every statement of `part` on the value at `at`.
  void Check(const json& part, const json::json_pointer& at) {
    if (part.contains("$ref")) return Check(schema_["$defs"][Target(part)], at);
    ++fields_;
    if (part.contains("enum")) {
      EXPECT_FALSE(AcceptsWith(at, "none of them")) << at;
    }
    if (part.contains("const")) {
      EXPECT_FALSE(AcceptsWith(at, "another")) << at;
    }
    if (part.value("type", "") == "string") CheckText(part, at);
    if (part.value("type", "") == "integer") CheckInteger(part, at);
    if (part.value("type", "") == "object") CheckObject(part, at);
  }
  int fields() const { return fields_; }

 private:
  static std::string Target(const json& part) {
    const std::string target = part["$ref"].get<std::string>();
    return target.substr(target.rfind('/') + 1);
  }
  bool AcceptsWith(const json::json_pointer& at, const json& value) const {
    json changed = manifest_;
    changed[at] = value;
    return Accepts(changed);
  }
  void CheckText(const json& part, const json::json_pointer& at) {
    EXPECT_FALSE(AcceptsWith(at, 7)) << at;
    if (part.contains("minLength")) {
      EXPECT_FALSE(AcceptsWith(at, "")) << at;
    }
    if (part.contains("maxLength")) {
      const size_t most = part["maxLength"].get<size_t>();
      EXPECT_FALSE(AcceptsWith(at, std::string(most + 1, 'x'))) << at;
    }
  }
  void CheckInteger(const json& part, const json::json_pointer& at) {
    EXPECT_FALSE(AcceptsWith(at, "7")) << at;
    EXPECT_FALSE(AcceptsWith(at, 7.5)) << at;
    EXPECT_FALSE(AcceptsWith(at, part["minimum"].get<int64_t>() - 1)) << at;
    EXPECT_FALSE(AcceptsWith(at, part["maximum"].get<int64_t>() + 1)) << at;
    // The message of a value beyond the limit is the schema's own limits.
    json changed = manifest_;
    changed[at] = part["maximum"].get<int64_t>() + 1;
    const std::string limits = ParseManifest(changed.dump()).status().message();
    const std::string want = std::to_string(part["minimum"].get<int64_t>()) + ".." +
                             std::to_string(part["maximum"].get<int64_t>());
    if (at.back() != "feather_px") {  // whose limit is half of inner_px
      EXPECT_TRUE(limits.ends_with("want " + want)) << limits;
    }
  }
  void CheckObject(const json& part, const json::json_pointer& at) {
    EXPECT_FALSE(AcceptsWith(at, 7)) << at;
    json extra = manifest_;
    extra[at]["no_such_key"] = 1;
    EXPECT_FALSE(Accepts(extra)) << at;
    if (part.contains("additionalProperties") && part["additionalProperties"].is_object()) {
      return Check(part["additionalProperties"], at / "boxes.json");
    }
    for (const auto& [key, value] : part["properties"].items()) {
      const auto& required = part["required"];
      const bool needed = std::find(required.begin(), required.end(), key) != required.end() ||
                          at / key == "/audio/model"_json_pointer;  // needed by an "if"
      ASSERT_TRUE(manifest_.contains(at / key)) << at / key << " is not in the test's manifest";
      json without = manifest_;
      without[at].erase(key);
      EXPECT_EQ(Accepts(without), !needed) << at / key;
      Check(value, at / key);
    }
  }

  const json schema_;
  const json manifest_;
  int fields_ = 0;
};

TEST(ManifestSchema, SaysWhatTheParserSays) {
  const json schema = json::parse(ReadFile(kDocs / "avatar.schema.json"));
  Walk walk(schema);
  walk.Check(schema, json::json_pointer());
  EXPECT_GE(walk.fields(), 40);
}

TEST(ManifestSchema, TheDocumentNamesEveryKey) {
  const json schema = json::parse(ReadFile(kDocs / "avatar.schema.json"));
  const std::string document = ReadFile(kDocs / "avatar-format.md");
  for (const auto& [key, part] : schema["properties"].items()) {
    if (!part.contains("properties")) {
      EXPECT_NE(document.find("`" + key + "`"), std::string::npos) << key;
      continue;
    }
    for (const auto& [inner, unused] : part["properties"].items()) {
      EXPECT_NE(document.find("`" + key + "." + inner + "`"), std::string::npos)
          << key << "." << inner;
    }
  }
}

TEST(ManifestSchema, TheDocumentsExamplesAreValid) {
  const std::string document = ReadFile(kDocs / "avatar-format.md");
  const auto block = [&](size_t from) {
    const size_t begin = document.find("```json\n", from) + 8;
    return document.substr(begin, document.find("```", begin) - begin);
  };
  const auto manifest = ParseManifest(block(0));
  EXPECT_TRUE(manifest.ok()) << manifest.status().ToString();
  const auto boxes = ParseBoxes(block(document.find("## boxes.json")));
  ASSERT_TRUE(boxes.ok()) << boxes.status().ToString();
  EXPECT_EQ(boxes->size(), 3u);
}

TEST(ManifestSchema, TheDemoAvatarIsValidAndWhole) {
  const auto files = PackageFiles::Open(kDocs.parent_path() / "avatars" / "demo");
  ASSERT_TRUE(files.ok()) << files.status().ToString();
  const auto text = [&](std::string_view name) {
    const auto bytes = (*files)->Read(name);
    EXPECT_TRUE(bytes.ok()) << bytes.status().ToString();
    return bytes.ok() ? std::string((*bytes)->begin(), (*bytes)->end()) : std::string();
  };
  const auto manifest = ParseManifest(text(kManifestName));
  ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
  const auto boxes = ParseBoxes(text(manifest->boxes));
  ASSERT_TRUE(boxes.ok()) << boxes.status().ToString();
  EXPECT_EQ(CheckBoxes(*boxes, manifest->frame_count, manifest->width, manifest->height), Status());
  for (const auto& [name, entry] : manifest->files) {
    EXPECT_EQ(*(*files)->SizeBytes(name), entry.bytes) << name;
    EXPECT_EQ(*(*files)->Sha256(name), entry.sha256) << name;
  }
}

}  // namespace
}  // namespace lipcast::avatar
