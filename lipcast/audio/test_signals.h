#pragma once
// Signals and golden data for the tests and benchmarks of this module; not part of the library.

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lipcast/audio/mono_converter.h"
#include "lipcast/audio/wav_reader.h"
#include "lipcast/base/test_folder.h"

namespace lipcast::audio {

inline std::filesystem::path TestDataPath(const std::string& name) {
  return std::filesystem::path(LIPCAST_SOURCE_DIR) / "lipcast/audio/testdata" / name;
}

/// The floats of a version 1 .npy file of little-endian float32; empty when it is anything else.
inline std::vector<float> LoadNpy(const std::string& name) {
  std::ifstream file(TestDataPath(name), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.size() < 10 || bytes.find("'<f4'") == std::string::npos) return {};
  const size_t data = 10 + static_cast<uint8_t>(bytes[8]) + 256u * static_cast<uint8_t>(bytes[9]);
  std::vector<float> floats((bytes.size() - data) / sizeof(float));
  std::memcpy(floats.data(), bytes.data() + data, floats.size() * sizeof(float));
  return floats;
}

/// All of a WAV of the test data as mono float; empty when it cannot be read.
inline std::vector<float> LoadWav(const std::string& name) {
  auto reader = OpenWav(TestDataPath(name));
  if (!reader.ok()) return {};
  auto converter = MonoConverter::Create((*reader)->format());
  std::vector<float> mono;
  std::vector<std::byte> block(1 << 16);
  for (;;) {
    const auto count = (*reader)->Read(block);
    if (!count.ok() || *count == 0) return mono;
    converter->Push(std::span(block).first(*count), &mono);
  }
}

/// White noise in [-amplitude, amplitude), the same on every machine.
inline std::vector<float> Noise(size_t samples, float amplitude, uint32_t seed = 1) {
  std::vector<float> noise(samples);
  for (float& sample : noise) {
    seed = seed * 1664525u + 1013904223u;
    sample = amplitude * (static_cast<float>(seed >> 8) / 8388608.0f - 1.0f);
  }
  return noise;
}

/// Little-endian bytes of a number.
template <typename T>
std::string Little(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A file in a folder of its own that goes away with it.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, std::string_view content) : path_(folder_ / name) {
    std::ofstream(path_, std::ios::binary)
        .write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  TempFolder folder_;
  const std::filesystem::path path_;
};

}  // namespace lipcast::audio
