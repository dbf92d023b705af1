#include "lipcast/media/image_sink.h"

#include <array>
#include <system_error>
#include <utility>

#include "lipcast/media/jpeg_codec.h"
#include "lipcast/media/png_codec.h"
#include "lipcast/media/temp_file.h"

namespace lipcast::media {
namespace {

constexpr size_t kMaxDigits = 12;

class ImageSink final : public VideoSink {
 public:
  ImageSink(ImageKind kind, FramePattern pattern, const SinkOptions& options)
      : kind_(kind), pattern_(std::move(pattern)), options_(options) {}

  PixelFormat wanted_format() const override { return PixelFormat::kBgr24; }

  Status WriteFrame(const PictureView& picture) override {
    LC_RETURN_IF_ERROR(failed_);
    return failed_ = WriteOne(picture);
  }

  Status WriteAudio(std::span<const std::byte>) override { return failed_; }

  int64_t bytes_written() const override { return bytes_; }
  Result<SinkReport> Finish() override {
    LC_RETURN_IF_ERROR(failed_);
    failed_ =
        Status(Code::kFailedPrecondition, "'" + options_.path.string() + "' is finished already");
    const std::string name = kind_ == ImageKind::kPng ? "png" : "jpeg";
    SinkReport report{frames_, bytes_, name, {}};
    if (options_.audio) report.notes.emplace_back("no sound: numbered pictures have none");
    return report;
  }

 private:
  Status WriteOne(const PictureView& picture) {
    const std::array<PixelFormat, 2> formats = {
        PixelFormat::kBgr24, kind_ == ImageKind::kPng ? PixelFormat::kBgra32 : PixelFormat::kI420};
    LC_RETURN_IF_ERROR(CheckFrame(picture, formats, options_, options_.path.string(), frames_));
    const std::filesystem::path name = pattern_.Name(frames_);
    LC_ASSIGN_OR_RETURN(TempFile file, TempFile::Create(name, options_.overwrite));
    if (kind_ == ImageKind::kPng) {
      LC_RETURN_IF_ERROR(EncodePng(picture, &encoded_));
    } else {
      LC_RETURN_IF_ERROR(EncodeJpeg(picture, options_.jpeg_quality, 0, &encoded_));
    }
    LC_RETURN_IF_ERROR(WriteAll(file.fd(), encoded_.data(), encoded_.size(), name.string()));
    LC_RETURN_IF_ERROR(file.Commit());
    bytes_ += static_cast<int64_t>(encoded_.size());
    ++frames_;
    return Status();
  }

  const ImageKind kind_;
  const FramePattern pattern_;
  const SinkOptions options_;
  std::vector<uint8_t> encoded_;
  int64_t frames_ = 0, bytes_ = 0;
  Status failed_;
};

}  // namespace

Result<FramePattern> FramePattern::Parse(const std::filesystem::path& pattern) {
  const Status refused(
      Code::kInvalidArgument,
      "'" + pattern.string() + "': want one number in the file name, e.g. frames/%06d.png");
  const std::string name = pattern.filename().string();
  FramePattern parsed;
  parsed.folder_ = pattern.parent_path();
  std::string* part = &parsed.before_;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '%') {
      *part += name[i];
      continue;
    }
    if (name.compare(i, 2, "%%") == 0) {
      *part += name[i++];
      continue;
    }
    if (part == &parsed.after_) return refused;
    size_t end = i + 1;
    while (end < name.size() && name[end] >= '0' && name[end] <= '9' && end < i + 4) ++end;
    if (end >= name.size() || name[end] != 'd') return refused;
    if (end > i + 1) {
      if (name[i + 1] != '0' || end == i + 2) return refused;
      for (size_t d = i + 2; d < end; ++d) {
        parsed.digits_ = parsed.digits_ * 10 + static_cast<size_t>(name[d] - '0');
      }
      if (parsed.digits_ < 1 || parsed.digits_ > kMaxDigits) return refused;
    }
    i = end;
    part = &parsed.after_;
  }
  if (part == &parsed.before_) return refused;
  return parsed;
}

std::filesystem::path FramePattern::Name(int64_t frame) const {
  std::string digits = std::to_string(frame);
  if (digits.size() < digits_) digits.insert(0, digits_ - digits.size(), '0');
  return folder_ / (before_ + digits + after_);
}

Result<std::unique_ptr<VideoSink>> CreateImageSink(ImageKind kind, const SinkOptions& options) {
  LC_RETURN_IF_ERROR(options.Validate());
  LC_ASSIGN_OR_RETURN(FramePattern pattern, FramePattern::Parse(options.path));
  if (!pattern.folder().empty()) {
    std::error_code error;
    std::filesystem::create_directories(pattern.folder(), error);
    if (error) {
      return ErrnoStatus(error.value(), "cannot make folder '" + pattern.folder().string() + "'");
    }
  }
  // Said now rather than after the first second of rendering.
  LC_ASSIGN_OR_RETURN(TempFile probe, TempFile::Create(pattern.Name(0), options.overwrite));
  return std::unique_ptr<VideoSink>(std::make_unique<ImageSink>(kind, std::move(pattern), options));
}

}  // namespace lipcast::media
