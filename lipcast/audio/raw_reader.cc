#include "lipcast/audio/raw_reader.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace lipcast::audio {
namespace {

constexpr size_t kMaxFrameBytes = kMaxChannels * sizeof(double);

class RawReader : public AudioReader {
 public:
  RawReader(int fd, const AudioFormat& format) : fd_(fd), format_(format) {}

  const AudioFormat& format() const override { return format_; }
  std::optional<int64_t> total_samples() const override { return std::nullopt; }
  std::string description() const override { return "raw PCM " + SampleTypeName(format_.type); }
  const std::vector<std::string>& warnings() const override { return warnings_; }

  Result<size_t> Read(std::span<std::byte> out) override {
    const auto frame_bytes = static_cast<size_t>(format_.frame_bytes());
    if (out.size() < frame_bytes) {
      return Status(Code::kInvalidArgument, "raw PCM read into " + std::to_string(out.size()) +
                                                " bytes, want at least one frame of " +
                                                std::to_string(frame_bytes));
    }
    out = out.first(out.size() - out.size() % frame_bytes);
    std::memcpy(out.data(), carry_.data(), carried_);
    size_t filled = std::exchange(carried_, 0);
    while (!ended_ && filled < frame_bytes) {
      LC_ASSIGN_OR_RETURN(const size_t count, ReadSome(out.subspan(filled)));
      ended_ = count == 0;
      filled += count;
    }
    const size_t odd = filled % frame_bytes;
    if (ended_ && odd != 0) {
      warnings_.push_back("raw PCM byte " + std::to_string(bytes_read_ - odd) + ": the last " +
                          std::to_string(odd) + " of " + std::to_string(frame_bytes) +
                          " bytes of a frame; dropped");
    } else {
      std::memcpy(carry_.data(), out.data() + filled - odd, odd);
      carried_ = odd;
    }
    return filled - odd;
  }

 private:
  Result<size_t> ReadSome(std::span<std::byte> out) {
    for (;;) {
      const ssize_t count = ::read(fd_, out.data(), out.size());
      if (count >= 0) {
        bytes_read_ += static_cast<uint64_t>(count);
        return static_cast<size_t>(count);
      }
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        pollfd wait{fd_, POLLIN, 0};
        if (::poll(&wait, 1, /*timeout=*/-1) >= 0 || errno == EINTR) continue;
      }
      return Status(Code::kUnavailable, "raw PCM after " + std::to_string(bytes_read_) +
                                            " bytes: " + std::strerror(errno));
    }
  }

  const int fd_;
  const AudioFormat format_;
  std::array<std::byte, kMaxFrameBytes> carry_{};
  size_t carried_ = 0;
  uint64_t bytes_read_ = 0;
  bool ended_ = false;
  std::vector<std::string> warnings_;
};

}  // namespace

Result<std::unique_ptr<AudioReader>> MakeRawReader(int fd, const AudioFormat& format) {
  LC_RETURN_IF_ERROR(format.Validate());
  if (fd < 0) {
    return Status(Code::kInvalidArgument,
                  "raw PCM descriptor " + std::to_string(fd) + ": want an open one");
  }
  return std::unique_ptr<AudioReader>(std::make_unique<RawReader>(fd, format));
}

}  // namespace lipcast::audio
