#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lipcast/base/clock.h"
#include "lipcast/base/executor.h"
#include "lipcast/base/log.h"
#include "lipcast/base/metrics.h"
#include "lipcast/server/speech_stream.h"
#include "lipcast/server/upload_file.h"

namespace lipcast::server {

enum class RecordingState { kRecording, kSaving, kDone, kFailed };
const char* RecordingStateName(RecordingState state);  ///< "recording"
bool IsOver(RecordingState state);

/// Why no further frame is recorded.
enum class RecordingEnd {
  kNone,     ///< it goes on
  kStop,     ///< somebody stopped it
  kSession,  ///< the session ended
  kLength,   ///< recordings.max_seconds
  kDisk,     ///< recordings.disk_mb
  kSlow,     ///< the disk or the encoder could not keep up
  kDrain,    ///< the server is shutting down
  kError,    ///< it failed
};
const char* RecordingEndName(RecordingEnd end);  ///< "stop"

/// A recording as it stands.
struct RecordingInfo {
  std::string id;       ///< 128 bits that nobody can guess, in hex
  std::string session;  ///< SpeechStream::id
  std::string avatar;
  RecordingState state = RecordingState::kRecording;
  int64_t frames = 0;  ///< written
  Rational fps;
  int64_t bytes = 0;  ///< so far, then of the file
  RecordingEnd ended_by = RecordingEnd::kNone;
  std::string message;  ///< why it ended, for people
  Status status;        ///< kFailed: why
  std::vector<std::string> warnings;
  int64_t created_unix_s = 0, ended_unix_s = 0;
};

struct RecordingsOptions {
  std::filesystem::path folder;  ///< where the files are; the system's if empty
  int running = 8;               ///< at a time; 0: nothing is recorded
  std::chrono::seconds length = std::chrono::hours(1);  ///< of one
  Nanoseconds keep = std::chrono::hours(1);             ///< how long what ended is known
  int ended = 1000;                                     ///< so many of those, the newest
  int64_t disk_bytes = int64_t{4} << 30;                ///< of all files, those in the making too
  int queue_seconds = 10;                               ///< of frames that wait to be written
  size_t queue_bytes = 64 << 20;                        ///< of those
};

/// Live sessions as MP4 files, of the very frames that their clients get, from a key frame on.
/// The session never waits: frames go through a bounded queue, and a full one ends the recording.
/// What ends it in whatever way, the file is made of what was recorded by then.
/// Files:  in a folder of their own, removed with their recording: by Remove, after `keep`, for a
///         newer one where there are `ended` or the disk's share is full (the oldest first), and at
///         the end.
/// Thread: any. Written by threads of their own, of low priority. It outlives the streams.
class Recordings {
 public:
  struct Parts {
    Metrics* metrics = nullptr;
    LogSink* log = nullptr;
    const Clock* clock = nullptr;
  };
  static Result<std::unique_ptr<Recordings>> Create(const RecordingsOptions& options,
                                                    const Parts& parts);
  ~Recordings();

  /// From the next key frame of `stream` on, which it asks for. Opens the file and takes its time.
  /// kFailedPrecondition for a stream at file pace or one that has ended, and where recording is
  /// off; kAlreadyExists while it is recorded; kResourceExhausted where too many are;
  /// kUnimplemented without libav; kUnavailable after Drain.
  Result<RecordingInfo> Begin(SpeechStream& stream);
  /// What was sent until now becomes the file. Fine where it has ended already.
  Result<RecordingInfo> Stop(const std::string& id);
  Result<RecordingInfo> Get(const std::string& id) const;
  /// kFailedPrecondition unless it is done.
  Result<std::shared_ptr<const FinishedFile>> File(const std::string& id) const;
  /// Ends it if need be, and forgets it.
  Status Remove(const std::string& id);

  void Drain();        ///< no new ones; those under way end, and can be fetched until the end
  int active() const;  ///< recording and saving
  void Tidy();         ///< forgets what ended `keep` ago, and sets the gauges

 private:
  class Recording;
  using RecordingPtr = std::shared_ptr<Recording>;

  Recordings(const RecordingsOptions& options, const Parts& parts,
             std::unique_ptr<UploadFolder> folder);
  Result<RecordingPtr> Find(const std::string& id) const;
  void MakeRoom(int64_t bytes);
  void Ended(const RecordingInfo& info);  // counts, logs, forgets
  int ActiveLocked() const;

  const RecordingsOptions options_;
  const Parts parts_;
  const std::unique_ptr<UploadFolder> folder_;
  mutable std::mutex mu_;
  std::map<std::string, RecordingPtr> all_;  // guarded by mu_
  uint64_t next_order_ = 0;                  // guarded by mu_
  int opening_ = 0;                          // guarded by mu_
  bool draining_ = false;                    // guarded by mu_
  Executor writers_;                         // last: its threads use what stands above
};

}  // namespace lipcast::server
