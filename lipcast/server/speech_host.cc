#include "lipcast/server/speech_host.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "lipcast/media/jpeg_codec.h"

namespace lipcast::server {
namespace {

constexpr int kProbeFrames = 12;
/// The least counts: what else the machine does meanwhile is not the frame's work.
constexpr int kProbeRuns = 3;
constexpr const char* kShuttingDown = "the server is shutting down";

Result<double> MeasureOnce(pipeline::Engine& engine,
                           const std::shared_ptr<const pipeline::LoadedAvatar>& avatar) {
  pipeline::SessionOptions options;
  options.idle = pipeline::Idle::kModel;
  options.pixels = PixelFormat::kBgr24;
  options.fps = Rational{25, 1};
  LC_ASSIGN_OR_RETURN(auto session, engine.Open(avatar, options));
  const std::vector<std::byte> sound(static_cast<size_t>(kProbeFrames) * 1280);
  LC_RETURN_IF_ERROR(session->Audio(1, sound));
  LC_RETURN_IF_ERROR(session->Finish());
  std::chrono::duration<double> encode{0};
  std::vector<uint8_t> jpeg;
  while (true) {
    LC_ASSIGN_OR_RETURN(const auto event, session->Next());
    if (!event) break;
    if (event->kind != pipeline::Event::Kind::kFrame) continue;
    const auto start = std::chrono::steady_clock::now();
    LC_RETURN_IF_ERROR(media::EncodeJpeg(event->frame.picture, 75, 0, &jpeg));
    encode += std::chrono::steady_clock::now() - start;
  }
  std::chrono::duration<double> work = encode;
  for (int stage = 0; stage < kStageCount; ++stage) {
    work += session->times().total(static_cast<Stage>(stage));
  }
  return work.count() / kProbeFrames;
}

Result<double> MeasureFrame(pipeline::Engine& engine,
                            const std::shared_ptr<const pipeline::LoadedAvatar>& avatar) {
  double least = 0;
  for (int run = 0; run < kProbeRuns; ++run) {
    LC_ASSIGN_OR_RETURN(const double seconds, MeasureOnce(engine, avatar));
    least = run == 0 ? seconds : std::min(least, seconds);
  }
  return least;
}

}  // namespace

SpeechHost::SpeechHost(const Parts& parts) : parts_(parts) {}

/// Counts a stream for as long as any of it may still touch the host.
class SpeechHost::Presence {
 public:
  explicit Presence(SpeechHost& host) : host_(host) {
    const std::lock_guard lock(host_.mu_);
    ++host_.present_;
  }
  ~Presence() {
    const std::lock_guard lock(host_.mu_);
    if (--host_.present_ == 0) host_.gone_.notify_all();
  }
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;

 private:
  SpeechHost& host_;
};

SpeechHost::~SpeechHost() {
  {
    const std::lock_guard lock(mu_);
    closing_ = true;
  }
  CancelAll(Status(Code::kUnavailable, kShuttingDown));
  std::unique_lock lock(mu_);
  gone_.wait(lock, [&] { return present_ == 0; });
}

Result<double> SpeechHost::SecondsPerFrame(const AvatarRegistry::Lease& lease) {
  {
    const std::lock_guard lock(mu_);
    const auto known = seconds_per_frame_.find(lease.name());
    if (lease.was_loaded() && known != seconds_per_frame_.end()) return known->second;
  }
  LC_ASSIGN_OR_RETURN(const double seconds, MeasureFrame(*parts_.engine, lease.avatar()));
  const std::lock_guard lock(mu_);
  return seconds_per_frame_[lease.name()] = seconds;
}

Result<std::shared_ptr<SpeechStream>> SpeechHost::Open(const std::string& avatar,
                                                       const StreamOptions& asked) {
  StreamOptions options = asked;
  options.limit = parts_.limit;
  options.idle_limit = parts_.idle_limit;
  if (parts_.admission->draining()) {
    return Status(Code::kUnavailable, kShuttingDown);
  }
  LC_ASSIGN_OR_RETURN(AvatarRegistry::Lease lease, parts_.avatars->Acquire(avatar));
  std::unique_ptr<Admission::Ticket> ticket;
  if (options.live) {
    LC_ASSIGN_OR_RETURN(const double seconds, SecondsPerFrame(lease));
    const Rational fps = options.session.fps.value_or(lease.avatar()->avatar->manifest().fps);
    LC_ASSIGN_OR_RETURN(ticket, parts_.admission->Admit(fps.value(), seconds));
  }
  const StreamPlace place{parts_.engine,  &loop_,       &slow_,
                          parts_.metrics, parts_.clock, std::make_shared<Presence>(*this)};
  LC_ASSIGN_OR_RETURN(auto stream,
                      SpeechStream::Create(place, std::move(lease), std::move(ticket), options));
  const std::lock_guard lock(mu_);
  // Drained meanwhile: CancelAll may have been here, and would not come again.
  if (closing_ || parts_.admission->draining()) return Status(Code::kUnavailable, kShuttingDown);
  parts_.metrics->Count("sessions_opened_total", 1);
  std::erase_if(streams_, [](const auto& one) { return one.expired(); });
  streams_.push_back(stream);
  return stream;
}

int SpeechHost::open_streams() const {
  const std::lock_guard lock(mu_);
  return present_;
}

void SpeechHost::CancelAll(const Status& why) {
  std::vector<std::shared_ptr<SpeechStream>> alive;
  {
    const std::lock_guard lock(mu_);
    for (const auto& one : streams_) {
      if (auto stream = one.lock()) alive.push_back(std::move(stream));
    }
  }
  for (const auto& stream : alive) stream->Cancel(why);
}

}  // namespace lipcast::server
