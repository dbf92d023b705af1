#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lipcast/audio/audio_reader.h"
#include "lipcast/base/clock.h"
#include "lipcast/base/executor.h"
#include "lipcast/base/log.h"
#include "lipcast/base/metrics.h"
#include "lipcast/media/movie_sink.h"
#include "lipcast/pipeline/render_to_sink.h"
#include "lipcast/server/avatar_registry.h"
#include "lipcast/server/upload_file.h"

namespace lipcast::server {

/// The sound of a render as it was uploaded.
struct RenderSound {
  std::shared_ptr<UploadFile> file;
  std::optional<audio::AudioFormat> raw;  ///< PCM without a header; else any sound file
};

/// Holds the upload while it reads; no status or warning names a path of the server's.
/// kInvalidArgument for what is no sound.
Result<std::unique_ptr<audio::AudioReader>> OpenRenderSound(const RenderSound& sound);

struct RenderSpec {
  std::string avatar;
  pipeline::SessionOptions session;  ///< fps, size, start_frame, idle; the job sets the rest
  media::MovieContainer container = media::MovieContainer::kMp4;
  int crf = 20;  ///< 0..51
};

enum class RenderState { kQueued, kRunning, kDone, kFailed, kCancelled };
const char* RenderStateName(RenderState state);  ///< "queued"
bool IsOver(RenderState state);

/// A job as it stands.
struct RenderInfo {
  std::string id;  ///< 128 bits that nobody can guess, in hex
  std::string avatar;
  media::MovieContainer container = media::MovieContainer::kMp4;
  RenderState state = RenderState::kQueued;
  int64_t frames = 0;
  std::optional<int64_t> total_frames;
  Status status;                      ///< kFailed, kCancelled: why
  std::vector<std::string> warnings;  ///< kDone
  std::string provider;               ///< from kRunning on: what runs the networks
  int64_t bytes = 0;                  ///< kDone: of the file
  Nanoseconds wall{0};                ///< kDone: of the rendering
  int64_t created_unix_s = 0, ended_unix_s = 0;
};

class RenderListener {
 public:
  virtual ~RenderListener() = default;
  /// In order, the last one with IsOver; `file` is null unless it is done. Called with the jobs'
  /// lock held: must only post.
  virtual void OnRender(const RenderInfo& info,
                        const std::shared_ptr<const FinishedFile>& file) = 0;
};

struct RenderJobsOptions {
  std::filesystem::path folder;              ///< where the files are; the system's if empty
  int queued = 100;                          ///< that wait beside those that run
  int running = 1;                           ///< at a time
  Nanoseconds keep = std::chrono::hours(1);  ///< how long what ended is known
  int ended = 1000;                          ///< so many of those, the newest
  int64_t disk_bytes = int64_t{4} << 30;     ///< of all sounds and files, those in the making too
  int encoder_threads = 1;
};

/// Renders that nobody has to wait for: a queue, progress, and the files until they are fetched.
/// Their work goes behind that of live streams: on the workers, and as threads of low priority.
/// Files:  in a folder of their own, removed with their job: by Remove, after `keep`, for a newer
///         one where there are `ended` or the disk's share is full (the oldest first), and at the
///         end. A render whose file does not fit even so fails.
/// Thread: any. Submit reads the head of the sound and takes its time. The destructor cancels.
class RenderJobs {
 public:
  struct Parts {
    pipeline::Engine* engine = nullptr;
    AvatarRegistry* avatars = nullptr;
    Metrics* metrics = nullptr;
    LogSink* log = nullptr;
    const Clock* clock = nullptr;
  };
  static Result<std::unique_ptr<RenderJobs>> Create(const RenderJobsOptions& options,
                                                    const Parts& parts);
  ~RenderJobs();

  /// Checks all that can be checked now: kInvalidArgument for options or the sound, kNotFound for
  /// the avatar, kResourceExhausted where queue or disk is full, kUnavailable after Drain.
  Result<RenderInfo> Submit(const RenderSpec& spec, RenderSound sound);
  Result<RenderInfo> Get(const std::string& id) const;
  std::vector<RenderInfo> List() const;  ///< the oldest first
  /// Tells `listener` of every change from now on, and of now.
  Status Watch(const std::string& id, const std::weak_ptr<RenderListener>& listener);
  /// kFailedPrecondition unless it is done.
  Result<std::shared_ptr<const FinishedFile>> File(const std::string& id) const;
  /// Ends it if need be, and forgets it.
  Status Remove(const std::string& id);

  const UploadFolder& folder() const { return *folder_; }  ///< for sounds on their way

  void Drain();        ///< no new ones
  void CancelAll();    ///< Drain, and those that are there end
  int active() const;  ///< queued and running
  void Tidy();         ///< forgets what ended `keep` ago

 private:
  struct Job {
    RenderInfo info;
    RenderSpec spec;
    RenderSound sound;
    uint64_t order = 0;
    pipeline::Session* session = nullptr;  // while it runs
    Status cancelled;
    TimePoint told{}, ended{};
    std::shared_ptr<const FinishedFile> file;
    std::vector<std::weak_ptr<RenderListener>> listeners;
  };
  using JobPtr = std::shared_ptr<Job>;

  RenderJobs(const RenderJobsOptions& options, const Parts& parts,
             std::unique_ptr<UploadFolder> folder);

  void Run(const JobPtr& job);
  Result<pipeline::RenderOutcome> Render(const JobPtr& job, const std::filesystem::path& path,
                                         DiskHold& hold);
  void Progress(const JobPtr& job, int64_t frames, std::optional<int64_t> total);
  void Finish(const JobPtr& job, const Result<pipeline::RenderOutcome>& outcome,
              std::shared_ptr<const FinishedFile> file);

  void MakeRoom(int64_t bytes);

  // With mu_ held.
  Result<JobPtr> Find(const std::string& id) const;
  void Cancel(Job& job, const Status& why);
  void Tell(Job& job);
  void SetState(Job& job, RenderState state);
  void ForgetOldest();

  const RenderJobsOptions options_;
  const Parts parts_;
  const std::unique_ptr<UploadFolder> folder_;
  mutable std::mutex mu_;
  std::map<std::string, JobPtr> jobs_;  // guarded by mu_
  uint64_t next_order_ = 0;             // guarded by mu_
  int queued_ = 0, running_ = 0;        // guarded by mu_
  bool draining_ = false;               // guarded by mu_
  Executor runners_;                    // last: its threads use what stands above
};

}  // namespace lipcast::server
