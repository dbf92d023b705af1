#include "lipcast/media/raw_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "lipcast/media/temp_file.h"

namespace lipcast::media {
namespace {

std::string LayoutName(RawLayout layout) {
  switch (layout) {
    case RawLayout::kBgr24:
      return "raw bgr24";
    case RawLayout::kI420:
      return "raw i420";
    case RawLayout::kY4m:
      return "y4m";
  }
  return "raw";
}

class RawSink final : public VideoSink {
 public:
  RawSink(RawLayout layout, std::string name, const SinkOptions& options)
      : layout_(layout), name_(std::move(name)), options_(options) {}
  ~RawSink() override {
    if (own_fd_ >= 0) ::close(own_fd_);
  }

  void WriteInto(int fd) { fd_ = fd; }
  void WriteIntoOwned(int fd) { fd_ = own_fd_ = fd; }
  void WriteInto(TempFile file) {
    temp_ = std::move(file);
    fd_ = temp_->fd();
  }

  Status Begin() {
    packed_.resize(PictureBytes(wanted_format(), options_.width, options_.height));
    if (layout_ != RawLayout::kY4m) return Status();
    return Send("YUV4MPEG2 W" + std::to_string(options_.width) + " H" +
                std::to_string(options_.height) + " F" + std::to_string(options_.fps.num) + ":" +
                std::to_string(options_.fps.den) +
                " Ip A1:1 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED\n");
  }

  PixelFormat wanted_format() const override {
    return layout_ == RawLayout::kBgr24 ? PixelFormat::kBgr24 : PixelFormat::kI420;
  }

  Status WriteFrame(const PictureView& picture) override {
    LC_RETURN_IF_ERROR(failed_);
    return failed_ = WriteOne(picture);
  }

  Status WriteAudio(std::span<const std::byte>) override { return failed_; }

  int64_t bytes_written() const override { return bytes_; }
  Result<SinkReport> Finish() override {
    LC_RETURN_IF_ERROR(failed_);
    failed_ = Status(Code::kFailedPrecondition, "'" + name_ + "' is finished already");
    if (temp_) LC_RETURN_IF_ERROR(temp_->Commit());
    if (own_fd_ >= 0 && ::close(std::exchange(own_fd_, -1)) != 0) {
      return ErrnoStatus(errno, "'" + name_ + "': close");
    }
    SinkReport report{frames_, bytes_, LayoutName(layout_), {}};
    if (options_.audio) report.notes.push_back("no sound: " + LayoutName(layout_) + " has none");
    return report;
  }

 private:
  Status WriteOne(const PictureView& picture) {
    const PixelFormat format = wanted_format();
    LC_RETURN_IF_ERROR(CheckFrame(picture, {&format, 1}, options_, name_, frames_));
    if (layout_ == RawLayout::kY4m) LC_RETURN_IF_ERROR(Send("FRAME\n"));
    CopyPicture(picture, PackedView(format, options_.width, options_.height, packed_.data()));
    LC_RETURN_IF_ERROR(WriteAll(fd_, packed_.data(), packed_.size(), name_));
    bytes_ += static_cast<int64_t>(packed_.size());
    ++frames_;
    return Status();
  }

  Status Send(const std::string& text) {
    bytes_ += static_cast<int64_t>(text.size());
    return WriteAll(fd_, text.data(), text.size(), name_);
  }

  const RawLayout layout_;
  const std::string name_;
  const SinkOptions options_;
  std::optional<TempFile> temp_;
  int fd_ = -1;
  int own_fd_ = -1;
  std::vector<uint8_t> packed_;
  int64_t frames_ = 0, bytes_ = 0;
  Status failed_;
};

}  // namespace

Result<std::unique_ptr<VideoSink>> CreateRawSinkToFd(RawLayout layout, int fd,
                                                     const std::string& name,
                                                     const SinkOptions& options) {
  LC_RETURN_IF_ERROR(options.Validate());
  auto sink = std::make_unique<RawSink>(layout, name, options);
  sink->WriteInto(fd);
  LC_RETURN_IF_ERROR(sink->Begin());
  return std::unique_ptr<VideoSink>(std::move(sink));
}

Result<std::unique_ptr<VideoSink>> CreateRawSink(RawLayout layout, const SinkOptions& options) {
  if (options.path == "-") {
    return CreateRawSinkToFd(layout, STDOUT_FILENO, "standard output", options);
  }
  LC_RETURN_IF_ERROR(options.Validate());
  const std::string name = options.path.string();
  auto sink = std::make_unique<RawSink>(layout, name, options);
  struct stat info = {};
  if (::stat(options.path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) &&
      !S_ISDIR(info.st_mode)) {
    const int fd = ::open(options.path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(errno, "cannot write '" + name + "'");
    sink->WriteIntoOwned(fd);
  } else {
    LC_ASSIGN_OR_RETURN(TempFile file, TempFile::Create(options.path, options.overwrite));
    sink->WriteInto(std::move(file));
  }
  LC_RETURN_IF_ERROR(sink->Begin());
  return std::unique_ptr<VideoSink>(std::move(sink));
}

}  // namespace lipcast::media
