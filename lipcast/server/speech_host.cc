#include "lipcast/server/speech_host.h"

#include "lipcast/server/refusal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace lipcast::server {
namespace {

constexpr int kSlowThreads = 2, kLoadThreads = 2;
constexpr int64_t kMessageHeadBytes = 1024;  // what a frame's message has beside picture and sound

StreamClass ClassOf(const AvatarRegistry::Lease& lease, uint64_t version,
                    const StreamOptions& options) {
  const auto& manifest = lease.avatar()->avatar->manifest();
  const Rational fps = options.session.fps.value_or(manifest.fps);
  return {lease.name(),
          version,
          static_cast<int>(options.picture.codec),
          options.session.width.value_or(manifest.width),
          options.session.height.value_or(manifest.height),
          fps.num,
          fps.den};
}

/// What a picture may have so that it fits into a message with its sound; 0: any size, as where the
/// client gets no messages.
int64_t MaxPictureBytes(int64_t message_bytes, const AvatarRegistry::Lease& lease,
                        const StreamOptions& options) {
  if (message_bytes == 0 || options.interface == "http") return 0;
  const audio::AudioFormat& format = options.session.format;
  const double fps = options.session.fps.value_or(lease.avatar()->avatar->manifest().fps).value();
  const double sound =
      options.sound == SoundOut::kNone ? 0 : std::ceil(format.rate_hz / fps) * format.frame_bytes();
  return std::max<int64_t>(1, message_bytes - kMessageHeadBytes - static_cast<int64_t>(sound));
}

std::function<void(const char*)> TellOfEscapes(const SpeechHost::Parts& parts) {
  return [metrics = parts.metrics, log = parts.log](const char* what) {
    metrics->Count("escaped_exceptions_total", 1);
    log->Log(LogLevel::kError, "task_threw", {{"what", what}});
  };
}

}  // namespace

SpeechHost::SpeechHost(const Parts& parts)
    : parts_(parts),
      records_({parts.metrics, parts.log, parts.clock, parts.trace}),
      limit_(parts.limit),
      idle_limit_(parts.idle_limit),
      loop_(TellOfEscapes(parts)),
      slow_(kSlowThreads, TellOfEscapes(parts)),
      loading_(kLoadThreads, TellOfEscapes(parts)) {}

Executor& SpeechHost::opening(const std::string& avatar) {
  return parts_.avatars->IsLoaded(avatar) ? slow_ : loading_;
}

void SpeechHost::SetLimits(std::chrono::seconds limit, std::chrono::seconds idle_limit) {
  const std::lock_guard lock(mu_);
  limit_ = limit;
  idle_limit_ = idle_limit;
}

/// Counts a stream for as long as any of it may still touch the host.
class SpeechHost::Presence {
 public:
  /// With the host's lock held.
  Presence(SpeechHost& host, bool live) : host_(host), file_pace_(live ? 0 : 1) {
    ++host_.present_;
    host_.file_pace_ += file_pace_;
  }
  ~Presence() {
    const std::lock_guard lock(host_.mu_);
    host_.file_pace_ -= file_pace_;
    if (--host_.present_ == 0) host_.gone_.notify_all();
  }
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;

 private:
  SpeechHost& host_;
  const int file_pace_;
};

Result<std::shared_ptr<SpeechHost::Presence>> SpeechHost::Enter(bool live) {
  const std::lock_guard lock(mu_);
  if (!live && parts_.file_streams > 0 && file_pace_ >= parts_.file_streams) {
    return refusal::Exhausted(refusal::kFilePace,
                              fmt::format("{} sessions at file pace are open, the limit "
                                          "(limits.file_sessions); try again later",
                                          file_pace_));
  }
  return std::make_shared<Presence>(*this, live);
}

SpeechHost::~SpeechHost() {
  {
    const std::lock_guard lock(mu_);
    closing_ = true;
  }
  CancelAll(refusal::Draining());
  std::unique_lock lock(mu_);
  gone_.wait(lock, [&] { return present_ == 0; });
}

Result<SpeechHost::Probe> SpeechHost::ProbeOf(const std::string& name,
                                              const AvatarRegistry::Loaded& avatar) {
  {
    const std::lock_guard lock(mu_);
    const auto known = probes_.find(name);
    if (known != probes_.end() && known->second.avatar.lock() == avatar) return known->second;
  }
  LC_ASSIGN_OR_RETURN(const AvatarCost cost, ProbeAvatar(*parts_.engine, avatar));
  const std::lock_guard lock(mu_);
  return probes_[name] = Probe{avatar, ++newest_probe_, cost};
}

Result<double> SpeechHost::StartCost(const std::string& name, const AvatarRegistry::Loaded& avatar,
                                     const StreamOptions& options) {
  LC_ASSIGN_OR_RETURN(const Probe probe, ProbeOf(name, avatar));
  return server::StartCost(probe.cost, *avatar, options);
}

double SpeechHost::FrameSeconds() const {
  const double running = parts_.admission->report().frame_seconds;
  if (running > 0) return running;
  const std::lock_guard lock(mu_);
  for (const auto& [name, probe] : probes_) {
    if (probe.number == newest_probe_) return probe.cost.draw_seconds;
  }
  return 0;
}

Result<std::shared_ptr<SpeechStream>> SpeechHost::Open(const std::string& avatar,
                                                       const StreamOptions& asked) {
  const StreamRecords::Opening opening(records_);
  auto stream = Contain([&] { return OpenCounted(avatar, asked); });
  if (!stream.ok()) records_.Refused(avatar, asked.interface, stream.status());
  return stream;
}

Result<std::shared_ptr<SpeechStream>> SpeechHost::OpenCounted(const std::string& avatar,
                                                              const StreamOptions& asked) {
  StreamOptions options = asked;
  {
    const std::lock_guard lock(mu_);
    options.limit = limit_;
    options.idle_limit = idle_limit_;
  }
  if (parts_.admission->draining()) return refusal::Draining();
  LC_RETURN_IF_ERROR(options.session.Validate());
  LC_ASSIGN_OR_RETURN(const std::shared_ptr<Presence> presence, Enter(options.live));
  std::unique_ptr<Admission::Ticket> ticket;
  if (options.live) {
    LC_ASSIGN_OR_RETURN(ticket, parts_.admission->Reserve());
  }
  LC_ASSIGN_OR_RETURN(AvatarRegistry::Lease lease, parts_.avatars->Acquire(avatar));
  if (options.live) {
    LC_ASSIGN_OR_RETURN(const Probe probe, ProbeOf(avatar, lease.avatar()));
    LC_RETURN_IF_ERROR(ticket->Admit(ClassOf(lease, probe.number, options),
                                     server::StartCost(probe.cost, *lease.avatar(), options)));
  }
  options.picture.max_bytes = MaxPictureBytes(parts_.message_bytes, lease, options);
  const StreamPlace place{parts_.engine, &loop_, &slow_, &records_, parts_.clock, presence};
  LC_ASSIGN_OR_RETURN(auto stream,
                      SpeechStream::Create(place, std::move(lease), std::move(ticket), options));
  const std::lock_guard lock(mu_);
  // Drained meanwhile: CancelAll may have been here, and would not come again.
  if (closing_ || parts_.admission->draining()) return refusal::Draining();
  std::erase_if(streams_, [](const auto& one) { return one.expired(); });
  streams_.push_back(stream);
  return stream;
}

int SpeechHost::open_streams() const {
  const std::lock_guard lock(mu_);
  return present_;
}

std::vector<std::shared_ptr<SpeechStream>> SpeechHost::Streams() const {
  std::vector<std::shared_ptr<SpeechStream>> alive;
  const std::lock_guard lock(mu_);
  for (const auto& one : streams_) {
    if (auto stream = one.lock()) alive.push_back(std::move(stream));
  }
  return alive;
}

void SpeechHost::CancelAll(const Status& why) {
  for (const auto& stream : Streams()) stream->Cancel(why);
}

}  // namespace lipcast::server
