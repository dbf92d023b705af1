#include "lipcast/pipeline/test_stage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ostream>
#include <sstream>
#include <string_view>
#include <thread>

#include "lipcast/avatar/sha256.h"

namespace lipcast::pipeline {
namespace {

using inference::ElementType;
using inference::FakeModel;

constexpr size_t kSide = kStageMouthPx, kPlane = kSide * kSide;
constexpr size_t kBands = 80, kWindow = 16, kFeatures = 512, kRows = 16;

uint32_t NextRandom(uint32_t& state) { return state = state * 1664525U + 1013904223U; }

/// The mouth pixel by pixel: value(context, channel, y, x).
template <typename Value>
FakeModel Generator(const Value& value) {
  FakeModel model;
  model.inputs = {{"input", ElementType::kFloat32, {-1, 6, kSide, kSide}},
                  {"audio", ElementType::kFloat32, {-1, 32, 16, 16}}};
  model.outputs = {{"output", ElementType::kFloat32, {-1, 3, kSide, kSide}}};
  model.run = [value](int64_t n, auto inputs, auto outputs) {
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const auto context = inputs[1].subspan(i * kRows * kFeatures, kRows * kFeatures);
      float* out = outputs[0].data() + i * 3 * kPlane;
      for (size_t c = 0; c < 3; ++c) {
        for (size_t y = 0; y < kSide; ++y) {
          for (size_t x = 0; x < kSide; ++x) *out++ = value(context, c, y, x);
        }
      }
    }
    return Status();
  };
  return model;
}

class NoiseDecoder final : public avatar::FrameDecoder {
 public:
  explicit NoiseDecoder(StageAvatar avatar) : avatar_(std::move(avatar)) {}
  int width() const override { return avatar_.width; }
  int height() const override { return avatar_.height; }
  Rational fps() const override { return avatar_.fps; }
  int64_t frame_count() const override { return avatar_.frames; }
  PixelFormat format() const override { return avatar_.format; }
  int64_t KeyFrameBefore(int64_t index) const override { return index; }
  Result<Picture> Decode(int64_t index) override {
    LC_ASSIGN_OR_RETURN(Picture picture,
                        Picture::Create(avatar_.format, avatar_.width, avatar_.height));
    uint32_t state = avatar_.seed * 7919U + static_cast<uint32_t>(index);
    for (size_t i = 0; i < picture.size_bytes(); ++i) {
      picture.data()[i] = static_cast<uint8_t>(NextRandom(state) >> 24);
    }
    return picture;
  }

 private:
  const StageAvatar avatar_;
};

Result<std::unique_ptr<avatar::FrameDecoder>> OpenNoise(const avatar::FileSource& source) {
  std::istringstream text(avatar::ReadFile(source.path));
  StageAvatar avatar;
  int format = 0;
  text >> format >> avatar.width >> avatar.height >> avatar.fps.num >> avatar.fps.den >>
      avatar.frames >> avatar.seed;
  avatar.format = static_cast<PixelFormat>(format);
  return std::unique_ptr<avatar::FrameDecoder>(std::make_unique<NoiseDecoder>(avatar));
}

}  // namespace

FakeModel DetailEncoder() {
  FakeModel model;
  model.inputs = {{"mel", ElementType::kFloat32, {-1, 1, kBands, kWindow}}};
  model.outputs = {{"features", ElementType::kFloat32, {-1, kFeatures}}};
  model.run = [](int64_t n, auto inputs, auto outputs) {
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const float* mel = inputs[0].data() + i * kBands * kWindow;
      for (size_t f = 0; f < kFeatures; ++f) {
        outputs[0][i * kFeatures + f] = (mel[f * 5 % (kBands * kWindow)] + 4) / 8;
      }
    }
    return Status();
  };
  return model;
}

FakeModel DetailGenerator() {
  return Generator([](auto context, size_t c, size_t y, size_t x) {
    return context[y / 2 * kFeatures + (x * 37 + y % 2 * 7 + c * 101) % kFeatures];
  });
}

FakeModel FlatGenerator(float value) {
  return Generator([value](auto, size_t, size_t, size_t) { return value; });
}

FakeModel FailingGenerator(Status status) {
  FakeModel model = DetailGenerator();
  // The run that warms the network up passes: it has one context, all of it 0.
  model.run = [status, run = std::move(model.run)](int64_t n, auto inputs, auto outputs) {
    const bool warm_up = std::ranges::all_of(inputs[1], [](float v) { return v == 0; });
    return warm_up ? run(n, inputs, outputs) : status;
  };
  return model;
}

void CountingMetrics::Count(std::string_view name, int64_t by) {
  const std::scoped_lock lock(mu_);
  counts_[std::string(name)] += by;
}

int64_t CountingMetrics::count(const std::string& name) const {
  const std::scoped_lock lock(mu_);
  const auto found = counts_.find(name);
  return found == counts_.end() ? 0 : found->second;
}

TestStage::TestStage(StageOptions options) {
  backend_.models["generator.onnx"] = std::move(options.generator);
  backend_.models["audio_encoder.onnx"] = std::move(options.encoder);
  if (options.parts) {
    in_parts_ = true;
    backend_.models["image.onnx"] = std::move(options.parts->first);
    backend_.models["audio.onnx"] = std::move(options.parts->second);
  }
  EngineOptions engine_options;
  engine_options.features = options.features;
  engine_options.workers = options.workers;
  engine_options.face_cache_bytes = options.face_cache_bytes;
  EngineParts parts;
  parts.backend = &backend_;
  parts.codecs.open_video = OpenNoise;
  parts.codecs.decode_image = [](std::span<const uint8_t>) -> Result<Picture> {
    return Status(Code::kUnimplemented, "no images on this stage");
  };
  parts.log = &log_;
  parts.metrics = &metrics_;
  parts.clock = options.clock == nullptr ? &steady_ : options.clock;
  auto engine = Engine::Create(engine_options, parts);
  EXPECT_TRUE(engine.ok()) << engine.status().ToString();
  engine_ = *std::move(engine);
}

std::shared_ptr<const LoadedAvatar> TestStage::Load(const StageAvatar& avatar) {
  const auto folder = folder_.path() / std::to_string(++avatars_);
  std::ostringstream video;
  video << static_cast<int>(avatar.format) << ' ' << avatar.width << ' ' << avatar.height << ' '
        << avatar.fps.num << ' ' << avatar.fps.den << ' ' << avatar.frames << ' ' << avatar.seed;
  avatar::WriteFile(folder / "frames.mp4", video.str());
  nlohmann::json boxes = {{"schema_version", 1}, {"boxes", nlohmann::json::array()}};
  for (int64_t i = 0; i < avatar.frames; ++i) {
    const Rect& box = kStageBox;
    const bool face = std::ranges::find(avatar.no_face, i) == avatar.no_face.end();
    boxes["boxes"].push_back(face ? nlohmann::json::array({box.x0, box.y0, box.x1, box.y1})
                                  : nlohmann::json());
  }
  avatar::WriteFile(folder / "boxes.json", boxes.dump());
  avatar::WriteFile(folder / "generator.onnx", "weights");
  avatar::WriteFile(folder / "audio_encoder.onnx", "weights");
  nlohmann::json manifest = avatar::SmallManifest();
  manifest["fps"] = {{"num", avatar.fps.num}, {"den", avatar.fps.den}};
  manifest["frame_count"] = avatar.frames;
  manifest["width"] = avatar.width;
  manifest["height"] = avatar.height;
  manifest["order"] = avatar.order;
  manifest.erase("idle");
  auto& generator = manifest["generator"];
  generator["inner_px"] = kStageMouthPx;
  generator["border_px"] = 2;
  generator["feather_px"] = 0;
  generator["mask"] = {{"x", 2}, {"y", 2}, {"width", 28}, {"height", 27}};
  if (in_parts_) {
    const std::string weights = "weights";
    const auto sha256 =
        avatar::Sha256Of({reinterpret_cast<const uint8_t*>(weights.data()), weights.size()});
    for (const char* name : {"image.onnx", "audio.onnx"}) {
      avatar::WriteFile(folder / name, "weights");
      manifest["files"][name] = nlohmann::json::object();
    }
    generator["split"] = {
        {"image", "image.onnx"}, {"audio", "audio.onnx"}, {"source_sha256", *sha256}};
  }
  avatar::WriteManifest(folder, manifest);
  auto loaded = engine_->LoadAvatar(folder);
  EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
  return *std::move(loaded);
}

std::unique_ptr<Session> TestStage::Open(std::shared_ptr<const LoadedAvatar> avatar,
                                         const SessionOptions& options) {
  auto session = engine_->Open(std::move(avatar), options);
  EXPECT_TRUE(session.ok()) << session.status().ToString();
  return *std::move(session);
}

Watchdog::Watchdog()
    : thread_([this, test = testing::UnitTest::GetInstance()->current_test_info()->name()] {
        std::unique_lock lock(mu_);
        if (changed_.wait_for(lock, std::chrono::minutes(4), [&] { return over_; })) return;
        std::fprintf(stderr, "%s hangs\n", test);
        std::abort();
      }) {}

Watchdog::~Watchdog() {
  {
    const std::scoped_lock lock(mu_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::vector<std::byte> Speech(int64_t samples, uint32_t seed) {
  std::vector<std::byte> bytes(static_cast<size_t>(2 * samples));
  uint32_t state = seed;
  for (size_t s = 0; s < static_cast<size_t>(samples); ++s) {
    const double noise = (NextRandom(state) >> 16) / 32768.0 - 1;
    const double swing = 0.6 + 0.4 * std::sin(static_cast<double>(s) * 1e-3 * (seed % 7 + 1));
    const auto value = static_cast<int16_t>(9000 * swing * noise);
    std::memcpy(bytes.data() + 2 * s, &value, 2);
  }
  return bytes;
}

std::vector<std::byte> Silence(int64_t samples) {
  return std::vector<std::byte>(static_cast<size_t>(2 * samples));
}

std::vector<std::byte> Noise(size_t size, uint32_t seed) {
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(NextRandom(seed) >> 24);
  return bytes;
}

std::vector<std::byte> operator+(std::vector<std::byte> a, const std::vector<std::byte>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void PrintTo(const Shown& shown, std::ostream* out) {
  *out << '#' << shown.index << " of " << shown.utterance << (shown.speaking ? " speaking" : "")
       << " before " << shown.background << ", " << shown.sound_bytes << " bytes, " << shown.hash;
}

uint64_t HashOf(const PictureView& packed) {
  const auto* bytes = reinterpret_cast<const char*>(packed.plane[0]);
  return std::hash<std::string_view>()(
      {bytes, PictureBytes(packed.format, packed.width, packed.height)});
}

Shown Describe(const Frame& frame) {
  return {frame.index,      frame.utterance,       frame.speaking,
          frame.background, HashOf(frame.picture), frame.sound.size()};
}

std::vector<uint64_t> Played::hashes() const {
  std::vector<uint64_t> hashes;
  for (const Shown& shown : frames) hashes.push_back(shown.hash);
  return hashes;
}

std::vector<int64_t> Played::backgrounds() const {
  std::vector<int64_t> backgrounds;
  for (const Shown& shown : frames) backgrounds.push_back(shown.background);
  return backgrounds;
}

std::string LogLine(const Event& event) {
  const std::string id = std::to_string(event.utterance);
  switch (event.kind) {
    case Event::Kind::kStarted:
      return "started " + id;
    case Event::Kind::kFinished:
      return (event.interrupted ? "cut " : "finished ") + id + " at " +
             std::to_string(event.played_samples);
    case Event::Kind::kWarning:
      return "warning " + event.message;
    case Event::Kind::kFrame:
      break;
  }
  return "";
}

bool ReadOne(Session& session, Played* played, const FrameLook& look) {
  auto event = session.Next();
  if (!event.ok()) played->status = event.status();
  if (!event.ok() || !event->has_value()) return false;
  if ((*event)->kind != Event::Kind::kFrame) {
    played->log.push_back(LogLine(**event));
    return true;
  }
  const Frame& frame = (*event)->frame;
  if (look) look(frame);
  played->frames.push_back(Describe(frame));
  played->sound.insert(played->sound.end(), frame.sound.begin(), frame.sound.end());
  return true;
}

Played ReadAll(Session& session, const FrameLook& look) {
  Played played;
  while (ReadOne(session, &played, look)) {
  }
  return played;
}

Played Play(Session& session, std::span<const std::byte> bytes, size_t piece_bytes,
            const FrameLook& look) {
  std::thread writer([&] {
    for (size_t at = 0; at < bytes.size();) {
      const size_t count = std::min(piece_bytes, bytes.size() - at);
      if (!session.Audio(1, bytes.subspan(at, count)).ok()) return;
      at += count;
    }
    if (!session.End(1).ok()) return;
    (void)session.Finish();  // a Cancel may come between: Next says so
  });
  Played played = ReadAll(session, look);
  writer.join();
  return played;
}

}  // namespace lipcast::pipeline
