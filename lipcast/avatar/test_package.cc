#include "lipcast/avatar/test_package.h"

#include <fmt/format.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "lipcast/avatar/package_path.h"
#include "lipcast/avatar/sha256.h"

namespace lipcast::avatar {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// For a broken test, not for a broken product.
void Require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "test_package: %s failed\n", what);
  std::abort();
}

Result<Picture> FakePicture(PixelFormat format, int width, int height, int64_t value) {
  LC_ASSIGN_OR_RETURN(Picture picture, Picture::Create(format, width, height));
  Require(picture.size_bytes() >= 8, "a picture of 8 bytes");
  // Only the ends are written, so that large pictures cost no time.
  const auto marked = static_cast<uint64_t>(value);
  std::memcpy(picture.data(), &marked, sizeof marked);
  picture.data()[picture.size_bytes() - 1] = static_cast<uint8_t>(value);
  return picture;
}

class FakeDecoder final : public FrameDecoder {
 public:
  FakeDecoder(FakeCodecs* codecs, FakeVideo video) : codecs_(codecs), video_(video) {}

  int width() const override { return video_.width; }
  int height() const override { return video_.height; }
  Rational fps() const override { return video_.fps; }
  int64_t frame_count() const override { return video_.frame_count; }
  PixelFormat format() const override { return video_.format; }
  int64_t KeyFrameBefore(int64_t index) const override {
    const int64_t key = index - index % video_.group;
    return next_ > key && next_ <= index ? next_ : key;
  }
  Result<Picture> Decode(int64_t index) override {
    if (busy_.exchange(true)) ++codecs_->overlaps;
    auto picture = DecodeAlone(index);
    busy_ = false;
    return picture;
  }

 private:
  Result<Picture> DecodeAlone(int64_t index) {
    if (codecs_->on_frame) codecs_->on_frame(index);
    codecs_->decodes += index - KeyFrameBefore(index) + 1;
    next_ = index + 1;
    if (index == codecs_->broken_frame) return Status(Code::kDataLoss, "broken slice");
    const int width = index == codecs_->small_frame ? video_.width / 2 : video_.width;
    return FakePicture(video_.format, width, video_.height, index);
  }

  FakeCodecs* const codecs_;
  const FakeVideo video_;
  int64_t next_ = 0;
  std::atomic<bool> busy_ = false;
};

}  // namespace

void WriteFile(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  Require(file.good(), path.c_str());
}

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  Require(file.good(), path.c_str());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string FakeVideoFile(const FakeVideo& video) {
  return fmt::format("fake-video {} {} {} {} {} {} {}\n", static_cast<int>(video.format),
                     video.width, video.height, video.fps.num, video.fps.den, video.frame_count,
                     video.group);
}

std::string FakeImageFile(PixelFormat format, int width, int height, int64_t value) {
  return fmt::format("fake-image {} {} {} {}\n", static_cast<int>(format), width, height, value);
}

FrameCodecs FakeCodecs::codecs() {
  FrameCodecs codecs;
  codecs.open_video = [this](const FileSource& source) -> Result<std::unique_ptr<FrameDecoder>> {
    std::istringstream text(source.bytes == nullptr
                                ? ReadFile(source.path)
                                : std::string(source.bytes->begin(), source.bytes->end()));
    std::string magic;
    int format = 0;
    FakeVideo video;
    text >> magic >> format >> video.width >> video.height >> video.fps.num >> video.fps.den >>
        video.frame_count >> video.group;
    if (magic != "fake-video" || !text) return Status(Code::kDataLoss, "not a video");
    video.format = static_cast<PixelFormat>(format);
    ++opened;
    return std::unique_ptr<FrameDecoder>(std::make_unique<FakeDecoder>(this, video));
  };
  codecs.decode_image = [this](std::span<const uint8_t> bytes) -> Result<Picture> {
    std::istringstream text(std::string(bytes.begin(), bytes.end()));
    std::string magic;
    int format = 0, width = 0, height = 0;
    int64_t value = 0;
    text >> magic >> format >> width >> height >> value;
    if (!text) return Status(Code::kDataLoss, "not an image");
    ++decodes;
    if (magic == "fake-image") {
      return FakePicture(static_cast<PixelFormat>(format), width, height, value);
    }
    // "fake-flat": every byte is `value`, but the last pixel's green, which is `value` + format.
    LC_ASSIGN_OR_RETURN(Picture flat, Picture::Create(PixelFormat::kBgr24, width, height));
    std::memset(flat.data(), static_cast<int>(value), flat.size_bytes());
    flat.data()[flat.size_bytes() - 2] = static_cast<uint8_t>(value + format);
    return flat;
  };
  return codecs;
}

int64_t FrameOf(const Picture& picture) {
  uint64_t value = 0;
  std::memcpy(&value, picture.data(), sizeof value);
  const bool whole = picture.data()[picture.size_bytes() - 1] == static_cast<uint8_t>(value);
  return whole ? static_cast<int64_t>(value) : -1;
}

json SmallManifest() {
  return json::parse(R"({
    "format": "lipcast-avatar", "schema_version": 1, "name": "small", "title": "A small one",
    "fps": {"num": 25, "den": 1}, "frame_count": 10, "width": 32, "height": 24,
    "order": "bounce", "color": {"matrix": "bt709", "range": "limited"},
    "frames": {"kind": "video", "path": "frames.mp4"}, "boxes": "boxes.json",
    "idle": {"first": 2, "count": 5},
    "generator": {"family": "synctalk", "model": "generator.onnx", "inner_px": 160,
      "border_px": 4, "mask": {"x": 5, "y": 5, "width": 150, "height": 145}, "feather_px": 3},
    "audio": {"kind": "ave", "model": "audio_encoder.onnx", "padding": "zero",
      "fps": {"num": 25, "den": 1}},
    "files": {"frames.mp4": {}, "boxes.json": {}, "generator.onnx": {}, "audio_encoder.onnx": {}},
    "provenance": "made by a test", "licence": "CC0-1.0"})");
}

void WritePackage(const fs::path& folder, json manifest) {
  WriteFile(folder / "frames.mp4", FakeVideoFile({}));
  json boxes = {{"schema_version", 1}, {"boxes", json::array()}};
  for (int i = 0; i < 10; ++i) {
    boxes["boxes"].push_back(i == 7 ? json() : json::array({i, 2, i + 20, 22}));
  }
  WriteFile(folder / "boxes.json", boxes.dump());
  WriteFile(folder / "generator.onnx", "the generator's weights");
  WriteFile(folder / "audio_encoder.onnx", "the encoder's weights");
  WriteManifest(folder, std::move(manifest));
}

void WriteManifest(const fs::path& folder, json manifest) {
  for (auto& [name, entry] : manifest["files"].items()) {
    const std::string bytes = ReadFile(folder / PathFromUtf8(name));
    const auto sum = Sha256Of({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    Require(sum.ok(), "sha256");
    entry = {{"sha256", *sum}, {"bytes", bytes.size()}};
  }
  WriteFile(folder / "avatar.json", manifest.dump(2));
}

void ZipFolder(const fs::path& folder, const fs::path& zip, const std::string& top) {
  zip_t* const archive = zip_open(zip.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  Require(archive != nullptr, "zip_open");
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = top + Utf8FromPath(fs::relative(entry.path(), folder));
    zip_source_t* const source = zip_source_file(archive, entry.path().c_str(), 0, -1);
    Require(zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8) >= 0, "zip_file_add");
  }
  Require(zip_close(archive) == 0, "zip_close");
}

}  // namespace lipcast::avatar
