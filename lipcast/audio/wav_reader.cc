#include "lipcast/audio/wav_reader.h"

#include <algorithm>
#include <utility>

#include "lipcast/audio/regular_file.h"
#include "lipcast/audio/wav_header_source.h"

namespace lipcast::audio {
namespace {

class FileSource : public WavHeaderSource {
 public:
  explicit FileSource(const RegularFile& file) : file_(file) {}
  uint64_t file_bytes() const override { return file_.bytes(); }
  size_t ReadAt(uint64_t offset, std::span<std::byte> out) const override {
    const Result<size_t> count = file_.ReadAt(offset, out);
    return count.ok() ? *count : 0;
  }

 private:
  const RegularFile& file_;
};

class WavReader : public AudioReader {
 public:
  WavReader(RegularFile file, WavHeader header)
      : file_(std::move(file)), header_(std::move(header)) {}

  const AudioFormat& format() const override { return header_.format; }
  std::optional<int64_t> total_samples() const override {
    return static_cast<int64_t>(header_.data_bytes / frame_bytes());
  }
  std::string description() const override { return header_.rf64 ? "WAV (RF64)" : "WAV"; }
  const std::vector<std::string>& warnings() const override { return header_.warnings; }

  Result<size_t> Read(std::span<std::byte> out) override {
    const uint64_t left = header_.data_bytes - position_;
    auto want = static_cast<size_t>(std::min<uint64_t>(left, out.size()));
    want -= want % frame_bytes();
    if (want == 0 && left > 0) {
      return Status(Code::kInvalidArgument, "WAV read into " + std::to_string(out.size()) +
                                                " bytes, want at least one frame of " +
                                                std::to_string(frame_bytes()));
    }
    LC_ASSIGN_OR_RETURN(size_t count,
                        file_.ReadAt(header_.data_offset + position_, out.first(want)));
    if (count < want) {
      count -= count % frame_bytes();
      header_.warnings.push_back("WAV byte " +
                                 std::to_string(header_.data_offset + position_ + count) +
                                 ": the file was cut off while it was read");
      header_.data_bytes = position_ + count;
    }
    position_ += count;
    return count;
  }

 private:
  size_t frame_bytes() const { return static_cast<size_t>(header_.format.frame_bytes()); }

  RegularFile file_;
  WavHeader header_;
  uint64_t position_ = 0;  // in the data
};

}  // namespace

Result<std::unique_ptr<AudioReader>> OpenWav(const std::filesystem::path& path) {
  LC_ASSIGN_OR_RETURN(RegularFile file, RegularFile::Open(path));
  Result<WavHeader> header = ParseWav(FileSource(file));
  if (!header.ok()) return header.status().Prefixed(AudioName(path));
  return std::unique_ptr<AudioReader>(
      std::make_unique<WavReader>(std::move(file), *std::move(header)));
}

}  // namespace lipcast::audio
