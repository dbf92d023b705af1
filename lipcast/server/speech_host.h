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
  };

  explicit SpeechHost(const Parts& parts);
  ~SpeechHost();

  /// Loads the avatar if need be, and takes its time: call it on slow().
  Result<std::shared_ptr<SpeechStream>> Open(const std::string& avatar,
                                             const StreamOptions& options);
  /// Worker time of one frame of a lent avatar, its mouth drawn and encoded as JPEG: measured once
  /// for each load by a short run.
  Result<double> SecondsPerFrame(const AvatarRegistry::Lease& lease);
  Executor& slow() { return slow_; }
  const Parts& parts() const { return parts_; }

  /// Until the last holder has let go, and what the stream had is given back.
  int open_streams() const;
  void CancelAll(const Status& why);

 private:
  class Presence;

  const Parts parts_;
  mutable std::mutex mu_;
  std::condition_variable gone_;
  int present_ = 0;                                   // guarded by mu_: streams not gone for good
  bool closing_ = false;                              // guarded by mu_
  std::vector<std::weak_ptr<SpeechStream>> streams_;  // guarded by mu_
  std::map<std::string, double> seconds_per_frame_;   // guarded by mu_
  EventLoop loop_;
  Executor slow_{2};
};

}  // namespace lipcast::server
