#include "lipcast/server/admission.h"

#include "lipcast/server/refusal.h"

#include <fmt/format.h>

#include <algorithm>

namespace lipcast::server {
namespace {

/// Of a new measurement in the running mean: ten of them, ten seconds of speech, say most of it.
constexpr double kNewShare = 0.1;
/// Classes remembered though no stream of them is open.
constexpr size_t kMaxClasses = 256;

}  // namespace

Result<std::unique_ptr<Admission::Ticket>> Admission::Reserve() {
  const std::lock_guard lock(mu_);
  if (draining_) return refusal::Draining();
  if (options_.max_sessions > 0 && sessions_ >= options_.max_sessions) {
    return refusal::Exhausted(refusal::kLimit,
                              fmt::format("{} of {} sessions are open, the limit; try again later",
                                          sessions_, options_.max_sessions));
  }
  ++sessions_;
  return std::unique_ptr<Ticket>(new Ticket(*this));
}

Status Admission::Ticket::Admit(const StreamClass& stream, double start_cost) {
  LC_ENSURE(class_ == nullptr);
  return owner_.Admit(stream, start_cost, &class_);
}

Status Admission::Admit(const StreamClass& stream, double start_cost, const StreamClass** key) {
  const std::lock_guard lock(mu_);
  if (draining_) return refusal::Draining();
  const auto known = classes_.find(stream);
  const double cost = known == classes_.end() ? start_cost : known->second.cost;
  const double share = cost / options_.workers, load = LoadLocked();
  // The first is let in whatever it costs: alone it harms nobody but itself.
  if (load > 0 && load + share > options_.usable_share) {
    return refusal::Exhausted(
        refusal::kHeadroom,
        fmt::format("a session of {:.4g} frames/s needs {:.0f} % of the workers' time, "
                    "{:.0f} % is left beside {} sessions; try again later",
                    stream.fps(), share * 100, std::max(0.0, options_.usable_share - load) * 100,
                    sessions_ - 1));
  }
  if (known == classes_.end() && classes_.size() >= kMaxClasses) ForgetUnused();
  const auto [at, fresh] = classes_.try_emplace(stream, Class{0, start_cost, false});
  ++at->second.sessions;
  *key = &at->first;
  return {};
}

void Admission::Observe(const StreamClass& stream, double cost) {
  const std::lock_guard lock(mu_);
  Class& known = classes_.at(stream);
  // The start value was measured too, elsewhere: it counts as one measurement.
  known.cost += (cost - known.cost) * (known.measured ? kNewShare : 0.5);
  known.measured = true;
}

void Admission::GiveBack(const StreamClass* stream) {
  const std::lock_guard lock(mu_);
  --sessions_;
  if (stream != nullptr) --classes_.at(*stream).sessions;
}

void Admission::ForgetUnused() {
  std::erase_if(classes_, [](const auto& one) { return one.second.sessions == 0; });
}

double Admission::LoadLocked() const {
  double cost = 0;
  for (const auto& [key, one] : classes_) cost += one.sessions * one.cost;
  return cost / options_.workers;
}

void Admission::SetMaxSessions(int max_sessions) {
  const std::lock_guard lock(mu_);
  options_.max_sessions = max_sessions;
}

void Admission::Drain() {
  const std::lock_guard lock(mu_);
  draining_ = true;
}

bool Admission::draining() const {
  const std::lock_guard lock(mu_);
  return draining_;
}

size_t Admission::classes() const {
  const std::lock_guard lock(mu_);
  return classes_.size();
}

CapacityReport Admission::report() const {
  const std::lock_guard lock(mu_);
  const double load = LoadLocked();
  double frames = 0;
  for (const auto& [key, one] : classes_) frames += one.sessions * key.fps();
  return {sessions_, options_.max_sessions, load, std::max(0.0, options_.usable_share - load),
          frames > 0 ? load * options_.workers / frames : 0};
}

}  // namespace lipcast::server
