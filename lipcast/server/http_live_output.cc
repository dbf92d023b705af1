#include "lipcast/server/http_live_output.h"

#include <fmt/format.h>

#include <utility>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/stream_movie.h"

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
  explicit Fmp4(std::unique_ptr<StreamMovie> movie) : movie_(std::move(movie)) {}

  const std::string& content_type() const override { return movie_->mime_type(); }
  std::string Head() const override {
    const auto head = movie_->init_segment();
    return {head.begin(), head.end()};
  }
  Result<std::string> Add(const StreamEvent& frame) override { return movie_->Add(frame); }
  Result<std::string> Finish() override { return movie_->Finish(); }

 private:
  const std::unique_ptr<StreamMovie> movie_;
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
  LC_ASSIGN_OR_RETURN(auto movie, StreamMovie::Create(stream.MovieOptions()));
  return std::unique_ptr<LiveOutput>(new Fmp4(std::move(movie)));
}

}  // namespace lipcast::server
