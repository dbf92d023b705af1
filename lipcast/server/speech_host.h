#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lipcast/base/log.h"
#include "lipcast/server/admission.h"
#include "lipcast/server/avatar_registry.h"
#include "lipcast/server/event_loop.h"
#include "lipcast/server/speech_stream.h"
#include "lipcast/server/stream_cost.h"

namespace lipcast::server {

/// What the adapters open streams on: avatars, admission, the loop.
/// Thread: any. The destructor cancels the streams and waits until the last holder lets go.
class SpeechHost {
 public:
  struct Parts {
    pipeline::Engine* engine = nullptr;
    AvatarRegistry* avatars = nullptr;
    Admission* admission = nullptr;
    Metrics* metrics = nullptr;
    LogSink* log = nullptr;
    const Clock* clock = nullptr;
    std::chrono::seconds limit{0}, idle_limit{0};  ///< of every stream, see StreamOptions
    FrameTrace* trace = nullptr;                   ///< null: none
    int file_streams = 0;                          ///< open at file pace; 0: any number
    int64_t message_bytes = 0;                     ///< of a frame with its sound; 0: any size
  };

  explicit SpeechHost(const Parts& parts);
  ~SpeechHost();

  /// Loads the avatar if need be, and takes its time: call it on opening(avatar).
  Result<std::shared_ptr<SpeechStream>> Open(const std::string& avatar,
                                             const StreamOptions& options);
  /// Seconds of work that a second of speech is thought to need: from a probe of the avatar, once
  /// for each load. Takes its time likewise.
  Result<double> StartCost(const std::string& name, const AvatarRegistry::Loaded& avatar,
                           const StreamOptions& options);
  /// Work of one frame, in seconds: the mean of the live streams; without one what the newest probe
  /// found; 0 before.
  double FrameSeconds() const;
  /// Parts::limit and idle_limit of the streams that are opened from now on.
  void SetLimits(std::chrono::seconds limit, std::chrono::seconds idle_limit);
  Executor& slow() { return slow_; }
  /// For what loads an avatar: loads that hang keep nobody but those who load.
  Executor& loading() { return loading_; }
  /// For what needs the avatar: loading() unless it is there.
  Executor& opening(const std::string& avatar);
  StreamRecords& records() { return records_; }
  const Parts& parts() const { return parts_; }

  /// Until the last holder has let go, and what the stream had is given back.
  int open_streams() const;
  /// Those that are not gone yet, the oldest first.
  std::vector<std::shared_ptr<SpeechStream>> Streams() const;
  void CancelAll(const Status& why);

 private:
  class Presence;
  struct Probe {
    std::weak_ptr<const pipeline::LoadedAvatar> avatar;
    uint64_t number = 0;
    AvatarCost cost;
  };

  /// kResourceExhausted where all places at file pace are taken.
  Result<std::shared_ptr<Presence>> Enter(bool live);
  Result<Probe> ProbeOf(const std::string& name, const AvatarRegistry::Loaded& avatar);

  Result<std::shared_ptr<SpeechStream>> OpenCounted(const std::string& avatar,
                                                    const StreamOptions& asked);

  const Parts parts_;
  StreamRecords records_;
  mutable std::mutex mu_;
  std::condition_variable gone_;
  int present_ = 0;                                   // guarded by mu_: streams not gone for good
  int file_pace_ = 0;                                 // guarded by mu_: of those
  bool closing_ = false;                              // guarded by mu_
  std::vector<std::weak_ptr<SpeechStream>> streams_;  // guarded by mu_
  std::map<std::string, Probe> probes_;               // guarded by mu_: the newest of each name
  uint64_t newest_probe_ = 0;                         // guarded by mu_
  std::chrono::seconds limit_, idle_limit_;           // guarded by mu_
  EventLoop loop_;
  Executor slow_, loading_;
};

}  // namespace lipcast::server
