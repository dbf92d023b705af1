#include "lipcast/server/admission.h"

#include <fmt/format.h>

#include <algorithm>

namespace lipcast::server {

Result<std::unique_ptr<Admission::Ticket>> Admission::Admit(double fps, double seconds_per_frame) {
  const double share = fps * seconds_per_frame / options_.workers;
  const std::lock_guard lock(mu_);
  if (draining_) return Status(Code::kUnavailable, "the server is shutting down");
  if (options_.max_sessions > 0 && sessions_ >= options_.max_sessions) {
    metrics_.Count("sessions_refused_total{reason=\"limit\"}", 1);
    return Status(Code::kResourceExhausted,
                  fmt::format("{} sessions are open, the limit; try again later", sessions_));
  }
  // The first is let in whatever it costs: alone it harms nobody but itself.
  if (sessions_ > 0 && load_ + share > options_.usable_share) {
    metrics_.Count("sessions_refused_total{reason=\"headroom\"}", 1);
    return Status(Code::kResourceExhausted,
                  fmt::format("a session of {:.4g} frames/s needs {:.0f} % of the workers' time, "
                              "{:.0f} % is left beside {} sessions; try again later",
                              fps, share * 100, std::max(0.0, options_.usable_share - load_) * 100,
                              sessions_));
  }
  ++sessions_;
  load_ += share;
  metrics_.Gauge("sessions{state=\"live\"}", sessions_);
  return std::make_unique<Ticket>(*this, share);
}

void Admission::GiveBack(double share) {
  const std::lock_guard lock(mu_);
  --sessions_;
  load_ = sessions_ == 0 ? 0 : load_ - share;
  metrics_.Gauge("sessions{state=\"live\"}", sessions_);
}

void Admission::Drain() {
  const std::lock_guard lock(mu_);
  draining_ = true;
}

bool Admission::draining() const {
  const std::lock_guard lock(mu_);
  return draining_;
}

CapacityReport Admission::report() const {
  const std::lock_guard lock(mu_);
  return {sessions_, options_.max_sessions, load_, std::max(0.0, options_.usable_share - load_)};
}

}  // namespace lipcast::server
