#include "lipcast/avatar/avatar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "lipcast/avatar/package_path.h"
#include "lipcast/avatar/test_package.h"

namespace lipcast::avatar {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

using Change = std::function<void(json&)>;

class AvatarTest : public testing::Test {
 protected:
  fs::path folder() const { return temp_.path() / "anna"; }
  std::string Quoted() const { return "avatar '" + folder().string() + "': "; }

  Result<std::shared_ptr<const Avatar>> Load(const fs::path& path, LoadOptions options = {}) {
    return Avatar::Load(path, codecs_.codecs(), options);
  }
  std::shared_ptr<const Avatar> Loaded(const fs::path& path, LoadOptions options = {}) {
    auto avatar = Load(path, options);
    EXPECT_TRUE(avatar.ok()) << avatar.status().ToString();
    return avatar.ok() ? *std::move(avatar) : nullptr;
  }
  /// Why the small package in folder() is refused, without the part that names it.
  std::string Refusal(LoadOptions options = {}) {
    const Status status = Load(folder(), options).status();
    EXPECT_THAT(status.message(), StartsWith(Quoted()));
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
    return status.message().substr(std::min(status.message().size(), Quoted().size()));
  }
  /// The same after one change of the manifest.
  std::string RefusalWith(const Change& change) {
    json manifest = SmallManifest();
    WritePackage(folder());
    change(manifest);
    WriteManifest(folder(), manifest);
    return Refusal();
  }
  void WriteImages(int count, PixelFormat format = PixelFormat::kBgr24) {
    json manifest = SmallManifest();
    manifest["frames"] = {{"kind", "images"}, {"path", "frames/%03d.png"}, {"first", 5}};
    manifest["files"].erase("frames.mp4");
    for (int i = 0; i < count; ++i) {
      char name[16];
      std::snprintf(name, sizeof name, "%03d.png", i + 5);
      WriteFile(folder() / "frames" / name, FakeImageFile(format, 32, 24, i));
    }
    WritePackage(folder(), manifest);
    fs::remove(folder() / "frames.mp4");
  }

  TempFolder temp_;
  FakeCodecs codecs_;
};

TEST_F(AvatarTest, GivesFramesBoxesModelsAndOrder) {
  WritePackage(folder());
  const auto avatar = Loaded(folder());
  EXPECT_EQ(avatar->manifest().name, "small");
  EXPECT_EQ(avatar->path(), folder());
  for (int64_t frame = 0; frame < 10; ++frame) {
    const auto picture = avatar->Frame(frame);
    ASSERT_TRUE(picture.ok()) << picture.status().ToString();
    EXPECT_EQ(FrameOf(**picture), frame);
    const auto x0 = static_cast<int>(frame);
    const Rect box{x0, 2, x0 + 20, 22};
    EXPECT_EQ(avatar->box(frame), frame == 7 ? std::nullopt : std::optional(box));
  }
  EXPECT_EQ(avatar->box(-1), std::nullopt);
  EXPECT_EQ(avatar->box(10), std::nullopt);
  EXPECT_THAT(avatar->notes(), ElementsAre("1 of 10 frames have no face: 7"));
  EXPECT_EQ(avatar->FrameAtStep(9), 9);
  EXPECT_EQ(avatar->FrameAtStep(10), 8);
  EXPECT_EQ(avatar->FrameAtStep(60'000), 60'000 % 18 < 10 ? 60'000 % 18 : 18 - 60'000 % 18);
  const auto weights = avatar->ModelBytes(avatar->manifest().generator.model);
  ASSERT_TRUE(weights.ok());
  EXPECT_EQ(std::string((*weights)->begin(), (*weights)->end()), "the generator's weights");
  EXPECT_EQ(avatar->Source("audio_encoder.onnx")->path,
            fs::canonical(folder()) / "audio_encoder.onnx");
  EXPECT_EQ(avatar->mask_image(), std::nullopt);
  EXPECT_EQ(avatar->frame_stats().frames_held, 10);
}

TEST_F(AvatarTest, AZipEqualsItsFolder) {
  WritePackage(folder());
  ZipFolder(folder(), temp_.path() / "anna.zip");
  ZipFolder(folder(), temp_.path() / "topped.zip", "anna/");
  const auto plain = Loaded(folder());
  for (const char* zip : {"anna.zip", "topped.zip"}) {
    const auto packed = Loaded(temp_.path() / zip);
    for (int64_t frame = 0; frame < 10; ++frame) {
      EXPECT_EQ(FrameOf(**packed->Frame(frame)), FrameOf(**plain->Frame(frame)));
      EXPECT_EQ(packed->box(frame), plain->box(frame));
    }
    EXPECT_EQ(**packed->ModelBytes("generator.onnx"), **plain->ModelBytes("generator.onnx"));
    EXPECT_EQ(packed->notes(), plain->notes());
    EXPECT_NE(packed->Source("generator.onnx")->bytes, nullptr);
    EXPECT_GT(packed->frame_stats().compressed_bytes_held, 0) << "the video is in memory";
  }
}

TEST_F(AvatarTest, OddPathsWork) {
  for (const std::string& name : {std::string("Анна Ö"), std::string("emoji 🙂 space"),
                                  std::string(200, 'l'), std::string("dot.")}) {
    const fs::path path = temp_.path() / PathFromUtf8(name);
    json manifest = SmallManifest();
    manifest["name"] = name;
    WritePackage(path, manifest);
    EXPECT_EQ(Loaded(path)->manifest().name, name);
    WriteFile(path / "boxes.json", "{}");
    EXPECT_THAT(Load(path).status().message(), StartsWith("avatar '" + path.string() + "': "));
  }
}

TEST_F(AvatarTest, WhatIsNoPackageIsRefusedWithThePath) {
  EXPECT_EQ(Refusal(), "no such folder or .zip file");
  fs::create_directories(folder());
  EXPECT_EQ(Refusal(), "avatar.json: no such file in the package");
  WriteFile(folder() / "avatar.json", "{\"format\": ");
  EXPECT_THAT(Refusal(), StartsWith("avatar.json: not JSON: "));
  fs::remove_all(folder());
  WriteFile(folder(), "text");
  EXPECT_THAT(Refusal(), StartsWith("cannot be read as .zip"));
}

TEST_F(AvatarTest, AFaultOfTheManifestNamesFileFieldValueAndLimit) {
  EXPECT_EQ(RefusalWith([](json& m) { m["generator"]["border_px"] = -1; }),
            "avatar.json: generator.border_px = -1: want 0..256");
  EXPECT_EQ(RefusalWith([](json& m) { m["audio"]["fps"]["num"] = 20; }),
            "avatar.json: audio.fps = 20: want 25, the rate of the model of audio.kind \"ave\"");
}

TEST_F(AvatarTest, EveryListedFileMustBeThereWithItsSizeAndHash) {
  WritePackage(folder());
  fs::remove(folder() / "generator.onnx");
  EXPECT_EQ(Refusal(), "generator.onnx: no such file in the package");
  EXPECT_EQ(Load(folder()).status().code(), Code::kNotFound);
  WriteFile(folder() / "generator.onnx", "the generator's");
  EXPECT_EQ(Refusal(), "generator.onnx: bytes = 15: want 23 as in avatar.json");
  EXPECT_EQ(Refusal({.verify_hashes = false}),
            "generator.onnx: bytes = 15: want 23 as in avatar.json");
  WriteFile(folder() / "generator.onnx", "");
  EXPECT_EQ(Refusal(), "generator.onnx: bytes = 0: want 23 as in avatar.json");
  WriteFile(folder() / "generator.onnx", "the generator's weightz");
  EXPECT_THAT(Refusal(), testing::MatchesRegex("generator.onnx: sha256 = [0-9a-f]+: want [0-9a-f]+ "
                                               "as in avatar.json"));
  EXPECT_TRUE(Load(folder(), {.verify_hashes = false}).ok());
}

TEST_F(AvatarTest, ANetworkMayBeCheckedWhenItIsRead) {
  WritePackage(folder());
  WriteFile(folder() / "generator.onnx", "the generator's weightz");
  const auto avatar = Load(folder(), {.networks_when_read = true});
  ASSERT_TRUE(avatar.ok()) << avatar.status().ToString();
  EXPECT_THAT((*avatar)->ModelBytes("generator.onnx").status().message(),
              StartsWith(Quoted() + "generator.onnx: sha256 = "));
  WriteFile(folder() / "boxes.json", ReadFile(folder() / "boxes.json") + " ");
  EXPECT_THAT(Refusal({.networks_when_read = true}), StartsWith("boxes.json: bytes = "));
}

TEST_F(AvatarTest, AModelThatChangedAfterTheLoadIsFoundOut) {
  WritePackage(folder());
  const auto avatar = Loaded(folder());
  WriteFile(folder() / "generator.onnx", "the generator's weightz");
  EXPECT_THAT(avatar->ModelBytes("generator.onnx").status().message(),
              StartsWith(Quoted() + "generator.onnx: sha256 = "));
  EXPECT_EQ(avatar->ModelBytes("avatar.json").status().message(),
            Quoted() + "'avatar.json': want a file that avatar.json lists");
  EXPECT_EQ(avatar->ModelBytes("../secret").status().code(), Code::kNotFound);
  EXPECT_EQ(avatar->Source("../secret").status().code(), Code::kNotFound);
}

TEST_F(AvatarTest, ALinkOutOfThePackageIsRefused) {
  WritePackage(folder());
  fs::rename(folder() / "generator.onnx", temp_.path() / "outside.onnx");
  fs::create_symlink("../outside.onnx", folder() / "generator.onnx");
  EXPECT_EQ(Refusal(), "generator.onnx: leads out of the package: want a file inside it");
}

TEST_F(AvatarTest, BoxesMustMatchFramesAndPicture) {
  const auto with_boxes = [&](const std::string& boxes) {
    WritePackage(folder());
    WriteFile(folder() / "boxes.json", boxes);
    WriteManifest(folder(), SmallManifest());
    return Refusal();
  };
  EXPECT_EQ(with_boxes(R"({"schema_version":1,"boxes":[null,[1,1,2,2]]})"),
            "boxes.json: boxes has 2 entries: want 10 (frame_count)");
  EXPECT_EQ(with_boxes(R"({"schema_version":1,"boxes":[null,null,null,null,null,null,null,null,)"
                       R"([0,0,33,24],null]})"),
            "boxes.json: boxes[8] = [0,0,33,24]: want it inside 32x24");
  EXPECT_EQ(with_boxes(R"({"schema_version":1,"boxes":[[5,1,5,2]]})"),
            "boxes.json: boxes[0] = [5,1,5,2]: want x0 < x1 and y0 < y1");
}

TEST_F(AvatarTest, TheVideoMustAgreeWithTheManifest) {
  const auto with_video = [&](const FakeVideo& video) {
    WritePackage(folder());
    WriteFile(folder() / "frames.mp4", FakeVideoFile(video));
    WriteManifest(folder(), SmallManifest());
    return Refusal();
  };
  EXPECT_EQ(with_video({.width = 64}),
            "frames.mp4: size of an upright frame = 64x24: want 32x24 as in avatar.json");
  EXPECT_EQ(with_video({.height = 12}),
            "frames.mp4: size of an upright frame = 32x12: want 32x24 as in avatar.json");
  EXPECT_EQ(with_video({.frame_count = 9}),
            "frames.mp4: frame_count = 9: want 10 as in avatar.json");
  EXPECT_EQ(with_video({.fps = {30'000, 1'001}}),
            "frames.mp4: fps = 30000/1001: want 25 as in avatar.json");
  EXPECT_EQ(with_video({.format = PixelFormat::kGray8}),
            "frames.mp4: its decoder gives neither I420 nor BGR with alpha");
  WriteFile(folder() / "frames.mp4", "no video at all");
  WriteManifest(folder(), SmallManifest());
  EXPECT_EQ(Refusal(), "frames.mp4: not a video");
  codecs_.small_frame = 0;
  EXPECT_EQ(with_video({}), "frames.mp4: frame 0 = 16x24: want 32x24");
}

TEST_F(AvatarTest, AFrameThatFailsLaterNamesAvatarFileAndFrame) {
  WritePackage(folder());
  codecs_.broken_frame = 4;
  const auto avatar = Loaded(folder());
  EXPECT_EQ(avatar->Frame(4).status().message(), Quoted() + "frames.mp4: frame 4: broken slice");
  EXPECT_EQ(avatar->Frame(10).status().message(), Quoted() + "frames.mp4: frame 10: want 0..9");
  EXPECT_TRUE(avatar->Frame(5).ok());
}

TEST_F(AvatarTest, ImagesWorkFromAFolderAndAZipWithAlphaKept) {
  for (const PixelFormat format : {PixelFormat::kBgr24, PixelFormat::kBgra32}) {
    fs::remove_all(folder());
    WriteImages(10, format);
    ZipFolder(folder(), temp_.path() / "anna.zip");
    for (const fs::path& path : {folder(), temp_.path() / "anna.zip"}) {
      const auto avatar = Loaded(path, {.frame_budget_bytes = 4 * 32 * 24 * 4});
      for (const int64_t frame : {3, 9, 0, 9, 4}) {
        EXPECT_EQ(FrameOf(**avatar->Frame(frame)), frame);
        EXPECT_EQ((*avatar->Frame(frame))->format(), format);
      }
    }
  }
}

TEST_F(AvatarTest, MissingSurplusAndWrongImagesAreRefusedByName) {
  WriteImages(9);
  EXPECT_EQ(Refusal(), "frames/014.png: no such file in the package");
  WriteImages(11);
  EXPECT_EQ(Refusal(), "frames/015.png: want 10 images only (frame_count in avatar.json)");
  fs::remove(folder() / "frames" / "015.png");
  const auto avatar = Loaded(folder());
  WriteFile(folder() / "frames" / "009.png", FakeImageFile(PixelFormat::kBgr24, 64, 36, 4));
  EXPECT_EQ(avatar->Frame(4).status().message(),
            Quoted() + "frames/009.png: frame 4 = 64x36: want 32x24");
  WriteFile(folder() / "frames" / "005.png", "no image");
  EXPECT_EQ(Refusal(), "frames/005.png: not an image");
}

TEST_F(AvatarTest, ListedImagesAreCheckedUnlistedOnesNeedNotBe) {
  WriteImages(10);
  json manifest = json::parse(ReadFile(folder() / "avatar.json"));
  manifest["files"]["frames/006.png"] = json::object();
  WriteManifest(folder(), manifest);
  EXPECT_TRUE(Load(folder()).ok());
  WriteFile(folder() / "frames" / "006.png", FakeImageFile(PixelFormat::kBgr24, 32, 24, 9));
  EXPECT_THAT(Refusal(), StartsWith("frames/006.png: sha256 = "));
}

TEST_F(AvatarTest, AMaskImageIsGrayAndAsLargeAsTheInnerSquare) {
  const auto with_mask = [&](const std::string& file) {
    json manifest = SmallManifest();
    manifest["generator"]["mask_image"] = "mask.png";
    manifest["files"]["mask.png"] = json::object();
    WriteFile(folder() / "mask.png", file);
    WritePackage(folder(), manifest);
  };
  with_mask("fake-flat 0 160 160 200");
  const auto avatar = Loaded(folder());
  ASSERT_TRUE(avatar->mask_image().has_value());
  EXPECT_EQ(avatar->mask_image()->format(), PixelFormat::kGray8);
  EXPECT_EQ(avatar->mask_image()->width(), 160);
  EXPECT_EQ(avatar->mask_image()->data()[0], 200);
  EXPECT_EQ(avatar->mask_image()->data()[160 * 160 - 1], 200);
  with_mask("fake-flat 1 160 160 200");
  EXPECT_EQ(Refusal(), "mask.png: pixel (159, 159) has a colour: want gray");
  with_mask("fake-flat 0 160 159 200");
  EXPECT_EQ(Refusal(), "mask.png = 160x159: want 160x160 (generator.inner_px)");
  with_mask("nothing");
  EXPECT_EQ(Refusal(), "mask.png: not an image");
}

TEST_F(AvatarTest, NotesSayWhatTheOwnerShouldKnow) {
  json manifest = SmallManifest();
  manifest.erase("licence");
  manifest["frame_count"] = 200;
  json boxes = {{"schema_version", 1}, {"boxes", json::array()}};
  for (int i = 0; i < 200; ++i) boxes["boxes"].push_back(json::array({1, 2, 20, 22}));
  WritePackage(folder());
  WriteFile(folder() / "boxes.json", boxes.dump());
  WriteFile(folder() / "frames.mp4", FakeVideoFile({.frame_count = 200, .group = 200}));
  WriteManifest(folder(), manifest);
  EXPECT_THAT(Loaded(folder())->notes(), ElementsAre("licence is not stated"));
  constexpr int64_t kTenFrames = 10 * 32 * 24 * 3 / 2;
  EXPECT_THAT(Loaded(folder(), {.frame_budget_bytes = kTenFrames})->notes(),
              ElementsAre("key frames stand up to 200 frames apart and the frame budget holds 10:"
                          " backward play costs about 11 decodes a frame",
                          "licence is not stated"));
  manifest["licence"] = "CC0-1.0";
  manifest["order"] = "loop";
  WriteManifest(folder(), manifest);
  EXPECT_THAT(Loaded(folder(), {.frame_budget_bytes = kTenFrames})->notes(), IsEmpty());
}

TEST_F(AvatarTest, ABudgetBelowTwoFramesIsRefusedWithBothNumbers) {
  WritePackage(folder());
  EXPECT_EQ(Refusal({.frame_budget_bytes = 1'000}),
            "frames.mp4: frame_budget_bytes = 1000: want at least 2304, two decoded frames of 32x24"
            " beside 0 compressed bytes");
}

TEST_F(AvatarTest, ManyThreadsShareOneAvatar) {
  WritePackage(folder());
  ZipFolder(folder(), temp_.path() / "anna.zip");
  const auto avatar = Loaded(temp_.path() / "anna.zip", {.frame_budget_bytes = 8 * 32 * 24});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int64_t player = 0; player < 8; ++player) {
    threads.emplace_back([&, player] {
      for (int64_t step = player; step < player + 200; ++step) {
        const int64_t frame = avatar->FrameAtStep(step);
        const auto picture = avatar->Frame(frame);
        if (!picture.ok() || FrameOf(**picture) != frame) ++wrong;
        if (step % 50 == 0 && !avatar->ModelBytes("generator.onnx").ok()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(codecs_.overlaps, 0);
}

}  // namespace
}  // namespace lipcast::avatar
