#include "lipcast/server/render_jobs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "lipcast/audio/raw_reader.h"
#include "lipcast/media/libav_audio_reader.h"
#include "lipcast/media/temp_file.h"
#include "lipcast/server/access_control.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

constexpr int kNice = 10;
constexpr size_t kIdBytes = 16;
constexpr auto kTellInterval = std::chrono::milliseconds(100);

int64_t UnixSeconds() {
  return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
}

/// Keeps the upload, and says nothing of where it lies.
class UploadReader final : public audio::AudioReader {
 public:
  static Result<std::unique_ptr<AudioReader>> Open(const RenderSound& sound) {
    std::unique_ptr<UploadReader> reader(new UploadReader(sound.file));
    auto inner = reader->OpenInner(sound);
    // What cannot be read is the client's fault, whatever the reader calls it.
    if (!inner.ok()) {
      const Code code = inner.status().code() == Code::kResourceExhausted ? Code::kResourceExhausted
                                                                          : Code::kInvalidArgument;
      return Status(code, reader->Clean(inner.status().message()), inner.status().reason());
    }
    reader->inner_ = *std::move(inner);
    return std::unique_ptr<AudioReader>(std::move(reader));
  }
  ~UploadReader() override {
    if (fd_ >= 0) ::close(fd_);
  }
  const audio::AudioFormat& format() const override { return inner_->format(); }
  std::optional<int64_t> total_samples() const override { return inner_->total_samples(); }
  std::string description() const override { return inner_->description(); }
  Result<size_t> Read(std::span<std::byte> out) override {
    auto read = inner_->Read(out);
    if (read.ok()) return read;
    return Status(read.status().code(), Clean(read.status().message()));
  }
  const std::vector<std::string>& warnings() const override {
    warnings_.clear();
    for (const std::string& warning : inner_->warnings()) warnings_.push_back(Clean(warning));
    return warnings_;
  }

 private:
  explicit UploadReader(std::shared_ptr<UploadFile> file) : file_(std::move(file)) {}
  Result<std::unique_ptr<AudioReader>> OpenInner(const RenderSound& sound) {
    if (!sound.raw) return audio::OpenAudio(file_->path(), media::OpenLibavAudio);
    fd_ = ::open(file_->path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) return media::ErrnoStatus(errno, "the sound");
    return audio::MakeRawReader(fd_, *sound.raw);
  }
  std::string Clean(std::string text) const {
    return WithoutPath(std::move(text), file_->path(), "the sound");
  }

  const std::shared_ptr<UploadFile> file_;
  int fd_ = -1;
  std::unique_ptr<AudioReader> inner_;
  mutable std::vector<std::string> warnings_;
};

std::optional<int64_t> FramesOf(const audio::AudioReader& reader, const RenderSound& sound,
                                const Rational& fps) {
  std::optional<int64_t> samples = reader.total_samples();
  if (sound.raw) samples = static_cast<int64_t>(sound.file->bytes()) / sound.raw->frame_bytes();
  if (!samples) return std::nullopt;
  return FramesFor(*samples, reader.format().rate_hz, fps);
}

}  // namespace

Result<std::unique_ptr<audio::AudioReader>> OpenRenderSound(const RenderSound& sound) {
  return UploadReader::Open(sound);
}

const char* RenderStateName(RenderState state) {
  constexpr const char* kNames[] = {"queued", "running", "done", "failed", "cancelled"};
  return kNames[static_cast<int>(state)];
}

bool IsOver(RenderState state) {
  return state != RenderState::kQueued && state != RenderState::kRunning;
}

RenderJobs::RenderJobs(const RenderJobsOptions& options, const Parts& parts,
                       std::unique_ptr<UploadFolder> folder)
    : options_(options), parts_(parts), folder_(std::move(folder)), runners_(options.running) {}

Result<std::unique_ptr<RenderJobs>> RenderJobs::Create(const RenderJobsOptions& options,
                                                       const Parts& parts) {
  LC_ASSIGN_OR_RETURN(auto folder, UploadFolder::Create(options.folder, options.disk_bytes));
  std::unique_ptr<RenderJobs> jobs(new RenderJobs(options, parts, std::move(folder)));
  jobs->folder_->share()->OnFull([raw = jobs.get()](int64_t bytes) { raw->MakeRoom(bytes); });
  return jobs;
}

RenderJobs::~RenderJobs() { CancelAll(); }

Result<RenderInfo> RenderJobs::Submit(const RenderSpec& spec, RenderSound sound) {
  LC_RETURN_IF_ERROR(spec.session.Validate());
  if (spec.crf < 0 || spec.crf > 51) {
    return Status(Code::kInvalidArgument, "crf = " + std::to_string(spec.crf) + ": want 0..51");
  }
  LC_RETURN_IF_ERROR(parts_.avatars->Get(spec.avatar).status());
  // Refused here while the client listens, and opened anew when its turn comes: a reader holds
  // more than a job that waits may.
  LC_ASSIGN_OR_RETURN(const auto reader, OpenRenderSound(sound));
  const auto job = std::make_shared<Job>();
  LC_ASSIGN_OR_RETURN(job->info.id, RandomHex(kIdBytes));
  job->info.avatar = spec.avatar;
  job->info.container = spec.container;
  job->info.created_unix_s = UnixSeconds();
  if (spec.session.fps) job->info.total_frames = FramesOf(*reader, sound, *spec.session.fps);
  job->spec = spec;
  job->sound = std::move(sound);

  const std::lock_guard lock(mu_);
  if (draining_) return refusal::Draining();
  if (queued_ + running_ >= options_.queued + options_.running) {
    return refusal::Exhausted(
        refusal::kQueue, fmt::format("{} renders wait already (limits.queued_jobs = {}): try later",
                                     queued_, options_.queued));
  }
  job->order = next_order_++;
  jobs_[job->info.id] = job;
  ++queued_;
  Tell(*job);
  runners_.Post(TimePoint{}, [this, job](int) { Run(job); });
  return job->info;
}

Result<RenderInfo> RenderJobs::Get(const std::string& id) const {
  const std::lock_guard lock(mu_);
  LC_ASSIGN_OR_RETURN(const JobPtr job, Find(id));
  return job->info;
}

std::vector<RenderInfo> RenderJobs::List() const {
  std::vector<JobPtr> jobs;
  std::vector<RenderInfo> infos;
  const std::lock_guard lock(mu_);
  for (const auto& [id, job] : jobs_) jobs.push_back(job);
  std::ranges::sort(jobs, {}, [](const JobPtr& job) { return job->order; });
  for (const JobPtr& job : jobs) infos.push_back(job->info);
  return infos;
}

Status RenderJobs::Watch(const std::string& id, const std::weak_ptr<RenderListener>& listener) {
  const std::lock_guard lock(mu_);
  LC_ASSIGN_OR_RETURN(const JobPtr job, Find(id));
  job->listeners.push_back(listener);
  if (const auto alive = listener.lock()) alive->OnRender(job->info, job->file);
  return {};
}

Result<std::shared_ptr<const FinishedFile>> RenderJobs::File(const std::string& id) const {
  const std::lock_guard lock(mu_);
  LC_ASSIGN_OR_RETURN(const JobPtr job, Find(id));
  if (job->file) return job->file;
  if (!job->info.status.ok()) return job->info.status.Prefixed("the render failed");
  return Status(Code::kFailedPrecondition, "the render is not done");
}

Status RenderJobs::Remove(const std::string& id) {
  const std::lock_guard lock(mu_);
  LC_ASSIGN_OR_RETURN(const JobPtr job, Find(id));
  Cancel(*job, Status(Code::kCancelled, "the render was removed"));
  job->file.reset();  // now: its runner may hold the job a moment longer
  jobs_.erase(id);
  return {};
}

void RenderJobs::Drain() {
  const std::lock_guard lock(mu_);
  draining_ = true;
}

void RenderJobs::CancelAll() {
  const std::lock_guard lock(mu_);
  draining_ = true;
  for (const auto& [id, job] : jobs_) {
    Cancel(*job, refusal::Draining());
  }
}

int RenderJobs::active() const {
  const std::lock_guard lock(mu_);
  return queued_ + running_;
}

void RenderJobs::Tidy() {
  const std::lock_guard lock(mu_);
  const TimePoint now = parts_.clock->Now();
  std::erase_if(jobs_, [&](const auto& item) {
    return IsOver(item.second->info.state) && now - item.second->ended >= options_.keep;
  });
  parts_.metrics->Gauge("queue_depth{queue=\"renders\"}", queued_);
  parts_.metrics->Gauge("render_disk_bytes", static_cast<double>(folder_->share()->used()));
}

// ---------------------------------------------------------------- on a runner

void RenderJobs::Run(const JobPtr& job) {
  // The threads of encoder and reader begin with the priority of this one.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  {
    const std::lock_guard lock(mu_);
    if (IsOver(job->info.state)) return;
    --queued_;
    ++running_;
    SetState(*job, RenderState::kRunning);
  }
  const char* ending = job->spec.container == media::MovieContainer::kMp4 ? ".mp4" : ".mkv";
  const std::filesystem::path path = folder_->path() / (job->info.id + ending);
  std::shared_ptr<const FinishedFile> file;
  const auto outcome = Contain([&]() -> Result<pipeline::RenderOutcome> {
    DiskHold hold(folder_->share());
    LC_ASSIGN_OR_RETURN(pipeline::RenderOutcome done, Render(job, path, hold));
    LC_RETURN_IF_ERROR(done.status);
    const Status fits = hold.Resize(done.sink.bytes);
    auto made = std::make_shared<FinishedFile>(path, std::move(hold));  // goes if it does not fit
    LC_RETURN_IF_ERROR(fits);
    file = std::move(made);
    return done;
  });
  Finish(job, outcome, std::move(file));
}

Result<pipeline::RenderOutcome> RenderJobs::Render(const JobPtr& job,
                                                   const std::filesystem::path& path,
                                                   DiskHold& hold) {
  LC_ASSIGN_OR_RETURN(const auto reader, OpenRenderSound(job->sound));
  LC_ASSIGN_OR_RETURN(AvatarRegistry::Lease lease, parts_.avatars->Acquire(job->spec.avatar));
  pipeline::SessionOptions options = job->spec.session;
  options.format = reader->format();
  options.yields = true;
  media::SinkOptions sink_options = pipeline::SinkOptionsFor(options, *lease.avatar(), *reader);
  sink_options.path = path;
  sink_options.crf = job->spec.crf;
  sink_options.threads = options_.encoder_threads;
  LC_ASSIGN_OR_RETURN(const auto sink, media::CreateMovieSink(job->spec.container, sink_options));
  options.pixels = sink->wanted_format();
  LC_ASSIGN_OR_RETURN(const auto session, parts_.engine->Open(lease.avatar(), options));
  {
    const std::lock_guard lock(mu_);
    job->info.total_frames = FramesOf(*reader, job->sound, session->fps());
    job->info.provider = inference::ProviderName(lease.avatar()->generator->provider());
    job->session = session.get();
    if (!job->cancelled.ok()) session->Cancel(job->cancelled);
    Tell(*job);
  }
  const std::shared_ptr<void> forget(nullptr, [&](void*) {  // before the session goes
    const std::lock_guard lock(mu_);
    job->session = nullptr;
  });
  pipeline::RenderTask task;
  task.reader = reader.get();
  task.session = session.get();
  task.sink = sink.get();
  task.on_progress = [&](int64_t frames, std::optional<int64_t> total) {
    const Status fits = hold.Resize(sink->bytes_written());
    if (!fits.ok()) session->Cancel(fits);
    Progress(job, frames, total);
  };
  pipeline::RenderOutcome outcome = pipeline::RenderToSink(task);
  SessionUse use;
  use.frames = outcome.counts.frames;
  use.generated_frames = outcome.counts.generated;
  use.generate_time = session->times().total(Stage::kGenerator);
  lease.Report(use);
  parts_.metrics->Count("render_frames_total", outcome.counts.frames);
  if (!outcome.status.ok()) {
    outcome.status =
        Status(outcome.status.code(), WithoutPath(outcome.status.message(), path, "the file"));
  }
  return outcome;
}

void RenderJobs::Progress(const JobPtr& job, int64_t frames, std::optional<int64_t> total) {
  const std::lock_guard lock(mu_);
  job->info.frames = frames;
  if (total) job->info.total_frames = total;
  if (parts_.clock->Now() - job->told >= kTellInterval) Tell(*job);
}

void RenderJobs::Finish(const JobPtr& job, const Result<pipeline::RenderOutcome>& outcome,
                        std::shared_ptr<const FinishedFile> file) {
  const std::lock_guard lock(mu_);
  --running_;
  job->sound.file.reset();
  RenderInfo& info = job->info;
  if (!outcome.ok()) {
    info.status = job->cancelled.ok() ? outcome.status() : job->cancelled;
    SetState(*job, job->cancelled.ok() ? RenderState::kFailed : RenderState::kCancelled);
  } else {
    info.frames = outcome->counts.frames;
    info.total_frames = info.frames;
    info.warnings = outcome->warnings;
    info.bytes = outcome->sink.bytes;
    info.wall = outcome->wall;
    job->file = std::move(file);
    SetState(*job, RenderState::kDone);
  }
  ForgetOldest();
}

/// Forgets the oldest that are done until `bytes` more fit, as far as that goes. A file that is
/// being read would take its room all the same.
void RenderJobs::MakeRoom(int64_t bytes) {
  const std::lock_guard lock(mu_);
  while (!folder_->share()->Fits(bytes)) {
    auto oldest = jobs_.end();
    for (auto item = jobs_.begin(); item != jobs_.end(); ++item) {
      const Job& job = *item->second;
      if (job.file.use_count() != 1) continue;
      if (oldest == jobs_.end() || job.order < oldest->second->order) oldest = item;
    }
    if (oldest == jobs_.end()) return;
    oldest->second->file.reset();  // now: its runner may hold the job a moment longer
    jobs_.erase(oldest);
  }
}

// ---------------------------------------------------------------- with mu_ held

Result<RenderJobs::JobPtr> RenderJobs::Find(const std::string& id) const {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) {
    return Status(Code::kNotFound, "no such render, or it ended too long ago");
  }
  return found->second;
}

void RenderJobs::Cancel(Job& job, const Status& why) {
  if (IsOver(job.info.state) || !job.cancelled.ok()) return;
  job.cancelled = why;
  if (job.session != nullptr) job.session->Cancel(why);
  if (job.info.state != RenderState::kQueued) return;
  --queued_;
  job.info.status = why;
  job.sound.file.reset();
  SetState(job, RenderState::kCancelled);
}

void RenderJobs::Tell(Job& job) {
  job.told = parts_.clock->Now();
  std::erase_if(job.listeners, [&](const std::weak_ptr<RenderListener>& listener) {
    const auto alive = listener.lock();
    if (alive) alive->OnRender(job.info, job.file);
    return !alive;
  });
}

void RenderJobs::SetState(Job& job, RenderState state) {
  job.info.state = state;
  if (IsOver(state)) {
    job.ended = parts_.clock->Now();
    job.info.ended_unix_s = UnixSeconds();
    const char* name = RenderStateName(state);
    parts_.metrics->Count("renders_total{state=\"" + std::string(name) + "\"}", 1);
    parts_.log->Log(LogLevel::kInfo, "render_ended",
                    {{"state", name},
                     {"avatar", job.info.avatar},
                     {"frames", std::to_string(job.info.frames)},
                     {"why", job.info.status.message()}});
  }
  Tell(job);
}

void RenderJobs::ForgetOldest() {
  std::vector<const Job*> ended;
  for (const auto& [id, job] : jobs_) {
    if (IsOver(job->info.state)) ended.push_back(job.get());
  }
  std::ranges::sort(ended, {}, [](const Job* job) { return std::pair(job->ended, job->order); });
  const auto most = static_cast<size_t>(options_.ended);
  for (size_t i = 0; i + most < ended.size(); ++i) jobs_.erase(std::string(ended[i]->info.id));
}

}  // namespace lipcast::server
