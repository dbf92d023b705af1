#include "lipcast/server/http_live_output.h"

#include <fmt/format.h>

#include <span>
#include <utility>
#include <vector>

#include "lipcast/avatar/package_path.h"
#include "lipcast/media/fragmented_mp4.h"

namespace lipcast::server {
namespace {

constexpr const char* kMjpegName = "mjpeg";
constexpr const char* kFmp4Name = "fmp4";
constexpr const char* kBoundary = "--frame\r\n";
constexpr size_t kShownBytes = 80;

/// A part is shown when the boundary behind it is there, so that goes out with the part.
class Mjpeg final : public LiveOutput {
 public:
  const std::string& content_type() const override { return type_; }
  std::string Head() const override { return kBoundary; }
  Result<std::string> Add(const StreamEvent& frame) override {
    if (frame.repeated) return std::string();
    return fmt::format("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
                       frame.picture.size()) +
           frame.picture + "\r\n" + kBoundary;
  }
  Result<std::string> Finish() override { return std::string(); }

 private:
  const std::string type_ = "multipart/x-mixed-replace; boundary=frame";
};

class Fmp4 final : public LiveOutput {
 public:
  explicit Fmp4(std::unique_ptr<media::FragmentedMp4> mp4) : mp4_(std::move(mp4)) {}

  const std::string& content_type() const override { return mp4_->mime_type(); }
  std::string Head() const override { return TextOf(mp4_->init_segment()); }
  Result<std::string> Add(const StreamEvent& frame) override {
    if (first_ < 0) {
      if (!frame.key_frame) return std::string();
      first_ = frame.frame;
    }
    LC_RETURN_IF_ERROR(
        mp4_->AddSound(std::as_bytes(std::span(frame.sound.data(), frame.sound.size()))));
    if (!frame.repeated) {
      const auto* picture = reinterpret_cast<const uint8_t*>(frame.picture.data());
      LC_RETURN_IF_ERROR(
          mp4_->AddPicture(frame.frame - first_, {picture, frame.picture.size()}, frame.key_frame));
    }
    LC_ASSIGN_OR_RETURN(const std::vector<uint8_t> fragment, mp4_->TakeFragment());
    return TextOf(fragment);
  }
  Result<std::string> Finish() override {
    if (first_ < 0) return std::string();
    LC_ASSIGN_OR_RETURN(const std::vector<uint8_t> fragment, mp4_->Finish());
    return TextOf(fragment);
  }

 private:
  static std::string TextOf(std::span<const uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  const std::unique_ptr<media::FragmentedMp4> mp4_;
  int64_t first_ = -1;  // the stream's frame that is picture 0 here; none yet
};

}  // namespace

std::string LiveOutputName(LiveOutputKind kind) {
  return kind == LiveOutputKind::kMjpeg ? kMjpegName : kFmp4Name;
}

Result<LiveOutputKind> ParseLiveOutput(const std::string& name) {
  if (name == kMjpegName) return LiveOutputKind::kMjpeg;
  if (name == kFmp4Name) return LiveOutputKind::kFmp4;
  return Status(Code::kInvalidArgument, "output = '" + avatar::ShownText(name, kShownBytes) +
                                            "': want " + kFmp4Name + " or " + kMjpegName);
}

void SetOutput(LiveOutputKind kind, StreamOptions* options) {
  const bool mjpeg = kind == LiveOutputKind::kMjpeg;
  options->picture.codec = mjpeg ? PictureCodec::kJpeg : PictureCodec::kH264Avcc;
  options->sound = mjpeg ? SoundOut::kNone : SoundOut::kInput;
}

Result<std::unique_ptr<LiveOutput>> LiveOutput::Create(LiveOutputKind kind,
                                                       const SpeechStream& stream) {
  if (kind == LiveOutputKind::kMjpeg) return std::unique_ptr<LiveOutput>(new Mjpeg());
  media::H264StreamOptions options;
  options.width = stream.width();
  options.height = stream.height();
  options.fps = stream.fps();
  options.codec_config = stream.codec_config();
  options.audio = stream.sound_format();
  LC_ASSIGN_OR_RETURN(auto mp4, media::FragmentedMp4::Create(options));
  return std::unique_ptr<LiveOutput>(new Fmp4(std::move(mp4)));
}

}  // namespace lipcast::server
