#include "lipcast/server/recordings.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "lipcast/server/access_control.h"
#include "lipcast/server/frame_movie.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

constexpr int kWriters = 2, kNice = 10;
constexpr size_t kIdBytes = 16;
/// What the index at the end may take beside the frames, so that a recording which fills the disk's
/// share still becomes a file.
constexpr int64_t kIndexBytes = 32 << 10, kIndexBytesAFrame = 128;
constexpr const char* kFull = "recordings fill the disk's share (recordings.disk_mb)";
constexpr const char* kFileName = "the recording";

int64_t UnixSeconds() {
  return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
}

/// Live streams first: of this thread, and of the encoders it starts.
void GoBehind() {
  thread_local const int done = ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  static_cast<void>(done);
}

}  // namespace

const char* RecordingStateName(RecordingState state) {
  constexpr const char* kNames[] = {"recording", "saving", "done", "failed"};
  return kNames[static_cast<int>(state)];
}

const char* RecordingEndName(RecordingEnd end) {
  constexpr const char* kNames[] = {"",     "stop", "session", "length",
                                    "disk", "slow", "drain",   "error"};
  return kNames[static_cast<int>(end)];
}

bool IsOver(RecordingState state) {
  return state == RecordingState::kDone || state == RecordingState::kFailed;
}

/// One of them. Frames come on the reader's thread, what is posted runs on its strand.
class Recordings::Recording final : public FrameTap,
                                    public std::enable_shared_from_this<Recording> {
 public:
  Recording(Recordings& all, const SpeechStream& stream, std::string id)
      : all_(all),
        path_(all.folder_->path() / (id + ".mp4")),
        max_frames_(static_cast<int64_t>(
            std::ceil(static_cast<double>(all.options_.length.count()) * stream.fps().value()))),
        max_queued_(
            static_cast<int64_t>(std::ceil(all.options_.queue_seconds * stream.fps().value()))),
        strand_(Strand::Create(all.writers_)) {
    info_.id = std::move(id);
    info_.session = stream.id();
    info_.avatar = stream.avatar();
    info_.fps = stream.fps();
    info_.created_unix_s = UnixSeconds();
  }

  Status Open(const SpeechStream& stream) {
    FrameMovie::Options options;
    options.codec = stream.options().picture.codec;
    options.width = stream.width();
    options.height = stream.height();
    options.fps = stream.fps();
    options.avcc.assign(stream.avcc().begin(), stream.avcc().end());
    if (stream.options().sound != SoundOut::kNone) {
      options.sound = stream.sound_format();
    } else {
      info_.warnings.emplace_back("the session's frames carry no sound: the film is silent");
    }
    auto movie = FrameMovie::Create(path_, options);
    if (!movie.ok()) return Clean(movie.status());
    movie_ = *std::move(movie);
    return {};
  }

  bool Take(const StreamEvent& frame) override {
    const size_t bytes = frame.picture.size() + frame.sound.size();
    const std::lock_guard lock(mu_);
    if (info_.ended_by != RecordingEnd::kNone) return false;
    if (taken_ == 0 && !frame.key_frame) return true;
    if (queued_ >= max_queued_ || queued_bytes_ + bytes > all_.options_.queue_bytes) {
      EndLocked(RecordingEnd::kSlow,
                fmt::format("the recording fell more than {} s or {} MiB behind the session",
                            all_.options_.queue_seconds, all_.options_.queue_bytes >> 20));
      return false;
    }
    ++taken_;
    ++queued_;
    queued_bytes_ += bytes;
    Post([this, sent = SentFrame{frame.picture, frame.sound, frame.repeated, frame.key_frame}] {
      Write(sent);
    });
    if (taken_ < max_frames_) return true;
    EndLocked(RecordingEnd::kLength,
              fmt::format("it is {} s long, the most (recordings.max_seconds)",
                          all_.options_.length.count()));
    return false;
  }
  bool wants_more() const override { return info().ended_by == RecordingEnd::kNone; }
  void OnStreamEnd(const Status& why) override {
    End(RecordingEnd::kSession,
        why.ok() ? "the session ended" : "the session ended: " + why.message());
  }

  /// The first one counts.
  void End(RecordingEnd by, std::string message) {
    const std::lock_guard lock(mu_);
    EndLocked(by, std::move(message));
  }

  RecordingInfo info() const {
    const std::lock_guard lock(mu_);
    return info_;
  }
  std::shared_ptr<const FinishedFile> file() const {
    const std::lock_guard lock(mu_);
    return file_;
  }
  bool over() const { return IsOver(info().state); }
  TimePoint ended() const {
    const std::lock_guard lock(mu_);
    return ended_;
  }
  /// Whether it had one that nobody reads, and now has none.
  bool DropFile() {
    const std::lock_guard lock(mu_);
    if (file_.use_count() != 1) return false;
    file_.reset();
    return true;
  }
  /// Its file goes now, though its stream may hold the recording a moment longer; or once it would
  /// be whole.
  void Forget() {
    const std::lock_guard lock(mu_);
    forgotten_ = true;
    file_.reset();
  }
  bool forgotten() const {
    const std::lock_guard lock(mu_);
    return forgotten_;
  }
  void SetOrder(uint64_t order) { order_ = order; }
  uint64_t order() const { return order_; }

 private:
  template <typename Step>
  void Post(Step step) {
    strand_->Post(all_.parts_.clock->Now(),
                  [self = shared_from_this(), step = std::move(step)](int) mutable {
                    GoBehind();
                    step();
                  });
  }
  void EndLocked(RecordingEnd by, std::string message) {
    if (info_.ended_by != RecordingEnd::kNone) return;
    info_.ended_by = by;
    info_.message = std::move(message);
    info_.state = RecordingState::kSaving;
    Post([this] { Save(); });
  }
  Status Clean(const Status& status) const {
    return Status(status.code(), WithoutPath(status.message(), path_, kFileName), status.reason());
  }

  // On the strand.
  void Write(const SentFrame& frame) {
    {
      const std::lock_guard lock(mu_);
      --queued_;
      queued_bytes_ -= frame.picture.size() + frame.sound.size();
      if (forgotten_) movie_.reset();
    }
    if (!movie_ || full_) return;
    const int64_t bytes = static_cast<int64_t>(frame.picture.size() + frame.sound.size());
    const Status fits = hold_->Resize(movie_->bytes_written() + movie_->bytes_waiting() + bytes +
                                      kIndexBytes + kIndexBytesAFrame * frames_);
    if (!fits.ok()) {  // what is there becomes the file
      full_ = true;
      if (frames_ == 0) failure_ = fits;
      End(RecordingEnd::kDisk, fits.message());
      return;
    }
    const Status written = Contain([&] { return movie_->Add(frame); });
    if (!written.ok()) {
      failure_ = Clean(written);
      movie_.reset();
      End(RecordingEnd::kError, failure_.message());
      return;
    }
    const std::lock_guard lock(mu_);
    info_.frames = ++frames_;
    info_.bytes = movie_->bytes_written();
  }

  void Save() {
    if (forgotten()) movie_.reset();
    auto saved = Contain([&] { return Close(); });
    movie_.reset();
    hold_.reset();
    RecordingInfo ended;
    {
      const std::lock_guard lock(mu_);
      ended_ = all_.parts_.clock->Now();
      info_.ended_unix_s = UnixSeconds();
      if (saved.ok()) {
        info_.state = RecordingState::kDone;
        if (!forgotten_) file_ = *std::move(saved);
      } else {
        info_.state = RecordingState::kFailed;
        info_.status = Clean(saved.status());
        info_.bytes = 0;
      }
      ended = info_;
    }
    all_.Ended(ended);
  }

  Result<std::shared_ptr<const FinishedFile>> Close() {
    LC_RETURN_IF_ERROR(failure_);
    if (!movie_) return Status(Code::kCancelled, "the recording was removed");
    if (frames_ == 0) {
      return Status(Code::kAborted, "it ended before the first key frame: nothing was recorded");
    }
    LC_ASSIGN_OR_RETURN(const media::SinkReport report, movie_->Finish());
    const Status fits = hold_->Resize(report.bytes);
    auto file = std::make_shared<const FinishedFile>(path_, std::move(*hold_));
    LC_RETURN_IF_ERROR(fits);
    const std::lock_guard lock(mu_);
    info_.bytes = report.bytes;
    info_.warnings.insert(info_.warnings.end(), report.notes.begin(), report.notes.end());
    return file;
  }

  Recordings& all_;
  const std::filesystem::path path_;
  const int64_t max_frames_, max_queued_;
  const std::shared_ptr<Strand> strand_;
  uint64_t order_ = 0;  // guarded by the recordings' mu_

  // The strand's, once it is open.
  std::unique_ptr<FrameMovie> movie_;
  std::optional<DiskHold> hold_{all_.folder_->share()};
  int64_t frames_ = 0;
  bool full_ = false;
  Status failure_;

  mutable std::mutex mu_;
  RecordingInfo info_;                        // guarded by mu_
  std::shared_ptr<const FinishedFile> file_;  // guarded by mu_
  TimePoint ended_{};                         // guarded by mu_
  int64_t taken_ = 0, queued_ = 0;            // guarded by mu_
  size_t queued_bytes_ = 0;                   // guarded by mu_
  bool forgotten_ = false;                    // guarded by mu_
};

Recordings::Recordings(const RecordingsOptions& options, const Parts& parts,
                       std::unique_ptr<UploadFolder> folder)
    : options_(options), parts_(parts), folder_(std::move(folder)), writers_(kWriters) {}

Result<std::unique_ptr<Recordings>> Recordings::Create(const RecordingsOptions& options,
                                                       const Parts& parts) {
  LC_ASSIGN_OR_RETURN(auto folder, UploadFolder::Create(options.folder, options.disk_bytes, kFull));
  std::unique_ptr<Recordings> all(new Recordings(options, parts, std::move(folder)));
  all->folder_->share()->OnFull([raw = all.get()](int64_t bytes) { raw->MakeRoom(bytes); });
  return all;
}

Recordings::~Recordings() { Drain(); }

Result<RecordingInfo> Recordings::Begin(SpeechStream& stream) {
  LC_ASSIGN_OR_RETURN(std::string id, RandomHex(kIdBytes));
  if (options_.running == 0) {
    return Status(Code::kFailedPrecondition,
                  "this server records no sessions (recordings.running = 0)");
  }
  {
    const std::lock_guard lock(mu_);
    if (draining_) return refusal::Draining();
    if (ActiveLocked() >= options_.running) {
      return refusal::Exhausted(
          refusal::kLimit,
          fmt::format("{} sessions are being recorded, the limit (recordings.running): try later",
                      options_.running));
    }
    ++opening_;
  }
  auto recording = std::make_shared<Recording>(*this, stream, std::move(id));
  const Status begun = Contain([&]() -> Status {
    LC_RETURN_IF_ERROR(recording->Open(stream));
    return stream.Tap(recording);
  });
  bool draining = false;
  {
    const std::lock_guard lock(mu_);
    --opening_;
    if (begun.ok()) {
      recording->SetOrder(next_order_++);
      all_[recording->info().id] = recording;
    }
    draining = draining_;
  }
  LC_RETURN_IF_ERROR(begun);
  if (draining) recording->End(RecordingEnd::kDrain, refusal::Draining().message());
  return recording->info();
}

Result<RecordingInfo> Recordings::Stop(const std::string& id) {
  LC_ASSIGN_OR_RETURN(const RecordingPtr recording, Find(id));
  recording->End(RecordingEnd::kStop, "it was stopped");
  return recording->info();
}

Result<RecordingInfo> Recordings::Get(const std::string& id) const {
  LC_ASSIGN_OR_RETURN(const RecordingPtr recording, Find(id));
  return recording->info();
}

Result<std::shared_ptr<const FinishedFile>> Recordings::File(const std::string& id) const {
  LC_ASSIGN_OR_RETURN(const RecordingPtr recording, Find(id));
  if (auto file = recording->file()) return file;
  const Status failed = recording->info().status;
  if (!failed.ok()) return failed.Prefixed("the recording failed");
  return Status(Code::kFailedPrecondition, "the recording is not done");
}

Status Recordings::Remove(const std::string& id) {
  LC_ASSIGN_OR_RETURN(const RecordingPtr recording, Find(id));
  recording->Forget();
  recording->End(RecordingEnd::kStop, "it was removed");
  const std::lock_guard lock(mu_);
  // What is still being closed is counted until then, and goes as one that has ended.
  if (recording->over()) all_.erase(id);
  return {};
}

void Recordings::Drain() {
  std::vector<RecordingPtr> recordings;
  {
    const std::lock_guard lock(mu_);
    draining_ = true;
    for (const auto& [id, recording] : all_) recordings.push_back(recording);
  }
  for (const RecordingPtr& recording : recordings) {
    recording->End(RecordingEnd::kDrain, refusal::Draining().message());
  }
}

int Recordings::active() const {
  const std::lock_guard lock(mu_);
  return ActiveLocked();
}

int Recordings::ActiveLocked() const {
  return opening_ + static_cast<int>(std::ranges::count_if(
                        all_, [](const auto& item) { return !item.second->over(); }));
}

void Recordings::Tidy() {
  const std::lock_guard lock(mu_);
  const TimePoint now = parts_.clock->Now();
  std::erase_if(all_, [&](const auto& item) {
    const bool old = item.second->over() && now - item.second->ended() >= options_.keep;
    if (old) item.second->Forget();
    return old;
  });
  parts_.metrics->Gauge("recordings", ActiveLocked());
  parts_.metrics->Gauge("recording_disk_bytes", static_cast<double>(folder_->share()->used()));
}

Result<Recordings::RecordingPtr> Recordings::Find(const std::string& id) const {
  const std::lock_guard lock(mu_);
  const auto found = all_.find(id);
  if (found == all_.end() || found->second->forgotten()) {
    return Status(Code::kNotFound, "no such recording, or it ended too long ago");
  }
  return found->second;
}

/// The oldest files that nobody reads go until `bytes` more fit, as far as that does it.
void Recordings::MakeRoom(int64_t bytes) {
  const std::lock_guard lock(mu_);
  while (!folder_->share()->Fits(bytes)) {
    std::vector<RecordingPtr> oldest;
    for (const auto& [id, recording] : all_) oldest.push_back(recording);
    std::ranges::sort(oldest, {}, &Recording::order);
    const auto gone =
        std::ranges::find_if(oldest, [](const RecordingPtr& one) { return one->DropFile(); });
    if (gone == oldest.end()) return;
    all_.erase((*gone)->info().id);
  }
}

void Recordings::Ended(const RecordingInfo& info) {
  const bool removed = info.status.code() == Code::kCancelled;
  const char* state = removed ? "removed" : RecordingStateName(info.state);
  parts_.metrics->Count("recordings_total{state=\"" + std::string(state) + "\"}", 1);
  parts_.metrics->Count("recording_frames_total", info.frames);
  const bool failed = info.state == RecordingState::kFailed;
  parts_.log->Log(failed && !removed ? LogLevel::kWarning : LogLevel::kInfo, "recording_ended",
                  {{"state", state},
                   {"session", info.session},
                   {"avatar", info.avatar},
                   {"frames", std::to_string(info.frames)},
                   {"bytes", std::to_string(info.bytes)},
                   {"by", RecordingEndName(info.ended_by)},
                   {"why", failed ? info.status.message() : info.message}});
  const std::lock_guard lock(mu_);
  std::vector<RecordingPtr> ended;
  for (auto item = all_.begin(); item != all_.end();) {
    const RecordingPtr& one = item->second;
    if (!one->over()) {
      ++item;
    } else if (one->forgotten()) {
      item = all_.erase(item);
    } else {
      ended.push_back(one);
      ++item;
    }
  }
  std::ranges::sort(ended, {},
                    [](const RecordingPtr& one) { return std::pair(one->ended(), one->order()); });
  const auto most = static_cast<size_t>(options_.ended);
  for (size_t i = 0; i + most < ended.size(); ++i) {
    ended[i]->Forget();
    all_.erase(ended[i]->info().id);
  }
}

}  // namespace lipcast::server
