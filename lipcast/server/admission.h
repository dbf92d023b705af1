#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "lipcast/base/metrics.h"
#include "lipcast/base/status.h"

namespace lipcast::server {

struct AdmissionOptions {
  int workers = 1;
  int max_sessions = 0;        ///< live and opening; 0: headroom alone decides
  double usable_share = 0.85;  ///< of the workers' time that live streams may ask for
};

struct CapacityReport {
  int sessions = 0;  ///< live, opening ones included
  int max_sessions = 0;
  double load = 0;           ///< share of the workers' time that they ask for
  double headroom = 0;       ///< what is left of usable_share
  double frame_seconds = 0;  ///< work of one frame, the mean of the live streams; 0 without one
};

/// Streams whose frames cost the same: they are measured together.
struct StreamClass {
  std::string avatar;
  uint64_t version = 0;  ///< of the avatar: what was measured of another one does not hold
  int codec = 0;
  int width = 0, height = 0;
  int64_t fps_num = 25, fps_den = 1;
  double fps() const { return static_cast<double>(fps_num) / static_cast<double>(fps_den); }
  friend auto operator<=>(const StreamClass&, const StreamClass&) = default;
};

/// Lets a live stream in only if the workers have the time for it beside those that run.
/// What a stream asks for is the work of a second of its speech, whether it speaks or not: all of
/// them may speak at once. It is the start value its opener gives until streams of its class have
/// been measured, and from then on their running mean, for those that run too.
/// Thread: any.
class Admission {
 public:
  Admission(const AdmissionOptions& options, Metrics& metrics)
      : options_(options), metrics_(metrics) {}

  /// A stream's place; gives it back when destroyed. Admission must outlive it.
  class Ticket {
   public:
    ~Ticket() { owner_.GiveBack(class_); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

    /// Once. `start_cost`: seconds of work a second of speech is thought to need.
    /// kResourceExhausted says what is asked for and what is left.
    Status Admit(const StreamClass& stream, double start_cost);
    /// A second of its speech took so many seconds of work.
    void Observe(double cost) { owner_.Observe(*class_, cost); }

   private:
    friend class Admission;
    explicit Ticket(Admission& owner) : owner_(owner) {}
    Admission& owner_;
    const StreamClass* class_ = nullptr;  // the key of classes_; null until admitted
  };

  /// A place for a stream that is being opened; it counts from now on. kResourceExhausted at the
  /// limit; kUnavailable once Drain was called.
  Result<std::unique_ptr<Ticket>> Reserve();
  void SetMaxSessions(int max_sessions);  ///< of those that come; running ones stay
  void Drain();
  bool draining() const;
  CapacityReport report() const;
  size_t classes() const;  ///< remembered

 private:
  struct Class {
    int sessions = 0;
    double cost = 0;
    bool measured = false;
  };
  Status Admit(const StreamClass& stream, double start_cost, const StreamClass** key);
  void Observe(const StreamClass& stream, double cost);
  void GiveBack(const StreamClass* stream);
  double LoadLocked() const;
  void ForgetUnused();

  AdmissionOptions options_;  // max_sessions guarded by mu_
  Metrics& metrics_;
  mutable std::mutex mu_;
  int sessions_ = 0;                      // guarded by mu_
  std::map<StreamClass, Class> classes_;  // guarded by mu_
  bool draining_ = false;                 // guarded by mu_
};

}  // namespace lipcast::server
