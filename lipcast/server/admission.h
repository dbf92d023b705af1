#pragma once

#include <cstdint>
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
  double load = 0;      ///< share of the workers' time that they ask for
  double headroom = 0;  ///< what is left of usable_share
};

/// Lets a live stream in only if the workers have the time for it beside those that run.
/// A stream asks for fps * seconds of work a frame, as measured when its avatar was loaded.
/// Thread: any.
class Admission {
 public:
  Admission(const AdmissionOptions& options, Metrics& metrics)
      : options_(options), metrics_(metrics) {}

  /// A stream's share; gives it back when destroyed. Admission must outlive it.
  class Ticket {
   public:
    Ticket(Admission& owner, double share) : owner_(owner), share_(share) {}
    ~Ticket() { owner_.GiveBack(share_); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

   private:
    Admission& owner_;
    const double share_;
  };

  /// kResourceExhausted says what is asked for and what is left; kUnavailable once Drain was
  /// called.
  Result<std::unique_ptr<Ticket>> Admit(double fps, double seconds_per_frame);
  void Drain();
  bool draining() const;
  CapacityReport report() const;

 private:
  void GiveBack(double share);

  const AdmissionOptions options_;
  Metrics& metrics_;
  mutable std::mutex mu_;
  int sessions_ = 0;       // guarded by mu_
  double load_ = 0;        // guarded by mu_
  bool draining_ = false;  // guarded by mu_
};

}  // namespace lipcast::server
