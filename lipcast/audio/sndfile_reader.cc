#include "lipcast/audio/sndfile_reader.h"

#include <sndfile.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "lipcast/audio/regular_file.h"

namespace lipcast::audio {
namespace {

struct CloseSndfile {
  void operator()(SNDFILE* file) const { sf_close(file); }
};
using SndfileHandle = std::unique_ptr<SNDFILE, CloseSndfile>;

SampleType DeliveredType(int sndfile_format) {
  switch (sndfile_format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8:
    case SF_FORMAT_PCM_16:
    case SF_FORMAT_ULAW:
    case SF_FORMAT_ALAW:
    case SF_FORMAT_ALAC_16:
    case SF_FORMAT_IMA_ADPCM:
    case SF_FORMAT_MS_ADPCM:
    case SF_FORMAT_GSM610:
    case SF_FORMAT_G721_32:
      return SampleType::kS16;
    case SF_FORMAT_PCM_24:
    case SF_FORMAT_ALAC_20:
    case SF_FORMAT_ALAC_24:
      return SampleType::kS24;
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_ALAC_32:
      return SampleType::kS32;
    default:
      return SampleType::kF32;
  }
}

std::string FormatName(SNDFILE* file, int sndfile_format) {
  SF_FORMAT_INFO info{};
  info.format = sndfile_format & SF_FORMAT_TYPEMASK;
  if (sf_command(file, SFC_GET_FORMAT_INFO, &info, sizeof(info)) != 0 || info.name == nullptr) {
    return "audio";
  }
  return info.name;
}

class SndfileReader : public AudioReader {
 public:
  SndfileReader(RegularFile file, SndfileHandle handle, const SF_INFO& info, std::string name)
      : file_(std::move(file)),
        handle_(std::move(handle)),
        format_{info.samplerate, info.channels, DeliveredType(info.format)},
        total_samples_(info.frames),
        description_(FormatName(handle_.get(), info.format)),
        name_(std::move(name)) {}

  const AudioFormat& format() const override { return format_; }
  std::optional<int64_t> total_samples() const override {
    if (total_samples_ < 0 || total_samples_ == SF_COUNT_MAX) return std::nullopt;
    return total_samples_;
  }
  std::string description() const override { return description_; }
  const std::vector<std::string>& warnings() const override { return warnings_; }

  Result<size_t> Read(std::span<std::byte> out) override {
    const auto frame_bytes = static_cast<size_t>(format_.frame_bytes());
    const size_t frames = out.size() / frame_bytes;
    if (frames == 0) {
      return Status(Code::kInvalidArgument, name_ + ": read into " + std::to_string(out.size()) +
                                                " bytes, want at least one frame of " +
                                                std::to_string(frame_bytes));
    }
    const sf_count_t count = ReadFrames(out.data(), frames);
    if (count < 0 || (count == 0 && sf_error(handle_.get()) != SF_ERR_NO_ERROR)) {
      return Status(Code::kDataLoss, name_ + ": " + sf_strerror(handle_.get()));
    }
    samples_read_ += count;
    if (count == 0) NoteEarlyEnd();
    return static_cast<size_t>(count) * frame_bytes;
  }

 private:
  sf_count_t ReadFrames(std::byte* out, size_t frames) {
    const size_t items = frames * static_cast<size_t>(format_.channels);
    switch (format_.type) {
      case SampleType::kS16: {
        shorts_.resize(items);
        const sf_count_t count =
            sf_readf_short(handle_.get(), shorts_.data(), static_cast<sf_count_t>(frames));
        if (count > 0) std::memcpy(out, shorts_.data(), Items(count) * sizeof(short));
        return count;
      }
      case SampleType::kS24:
      case SampleType::kS32: {
        ints_.resize(items);
        const sf_count_t count =
            sf_readf_int(handle_.get(), ints_.data(), static_cast<sf_count_t>(frames));
        if (count <= 0) return count;
        if (format_.type == SampleType::kS32) {
          std::memcpy(out, ints_.data(), Items(count) * sizeof(int));
          return count;
        }
        for (size_t i = 0; i < Items(count); ++i) {  // left-justified in 32 bits
          const auto bits = static_cast<uint32_t>(ints_[i]);
          out[3 * i] = static_cast<std::byte>(bits >> 8 & 0xFF);
          out[3 * i + 1] = static_cast<std::byte>(bits >> 16 & 0xFF);
          out[3 * i + 2] = static_cast<std::byte>(bits >> 24);
        }
        return count;
      }
      default: {
        floats_.resize(items);
        const sf_count_t count =
            sf_readf_float(handle_.get(), floats_.data(), static_cast<sf_count_t>(frames));
        if (count > 0) std::memcpy(out, floats_.data(), Items(count) * sizeof(float));
        return count;
      }
    }
  }

  size_t Items(sf_count_t frames) const {
    return static_cast<size_t>(frames) * static_cast<size_t>(format_.channels);
  }

  void NoteEarlyEnd() {
    if (!total_samples().has_value() || samples_read_ >= total_samples_ || !warnings_.empty()) {
      return;
    }
    warnings_.push_back(name_ + ": " + std::to_string(samples_read_) +
                        " samples decoded, its header says " + std::to_string(total_samples_));
  }

  RegularFile file_;  // outlives the handle, which reads through its descriptor
  SndfileHandle handle_;
  AudioFormat format_;
  int64_t total_samples_;
  int64_t samples_read_ = 0;
  std::string description_, name_;
  std::vector<std::string> warnings_;
  std::vector<short> shorts_;
  std::vector<int> ints_;
  std::vector<float> floats_;
};

}  // namespace

Result<std::unique_ptr<AudioReader>> OpenSndfile(const std::filesystem::path& path) {
  const std::string name = AudioName(path);
  LC_ASSIGN_OR_RETURN(RegularFile file, RegularFile::Open(path));
  SF_INFO info{};
  // By descriptor, so that the name's ending cannot tell libsndfile what the content is.
  SndfileHandle handle(sf_open_fd(file.descriptor(), SFM_READ, &info, SF_FALSE));
  if (handle == nullptr) {
    const int error = sf_error(nullptr);
    const Code code =
        error == SF_ERR_UNRECOGNISED_FORMAT ? Code::kUnimplemented : Code::kInvalidArgument;
    return Status(code, name + ": " + sf_strerror(nullptr));
  }
  auto reader = std::make_unique<SndfileReader>(std::move(file), std::move(handle), info, name);
  if (Status valid = reader->format().Validate(); !valid.ok()) return valid.Prefixed(name);
  return std::unique_ptr<AudioReader>(std::move(reader));
}

}  // namespace lipcast::audio
