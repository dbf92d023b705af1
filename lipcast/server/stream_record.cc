#include "lipcast/server/stream_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <utility>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/prometheus_metrics.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

/// Of what a client wrote: as much goes into a line.
constexpr size_t kShownBytes = 200;

/// One of the metric's labels, whatever else a Status may come to say.
std::string RefusedLabel(const Status& why) {
  using namespace refusal;
  for (const std::string_view reason : {kDraining, kFilePace, kHeadroom, kLimit, kMemory}) {
    if (why.reason() != reason) continue;
    std::string label(reason);
    std::ranges::transform(label, label.begin(), [](char c) { return c == '_' ? c : c | 0x20; });
    return label;
  }
  if (why.code() == Code::kInvalidArgument) return "invalid";
  return why.code() == Code::kNotFound ? "not_found" : "failed";
}

double Seconds(Nanoseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

StreamRecords::StreamRecords(const Parts& parts)
    : parts_(parts), start_(std::random_device()()), window_(parts.clock->Now()) {}

std::string StreamRecords::NextId() { return fmt::format("{:08x}-{}", start_, next_id_++); }

void StreamRecords::Refused(const std::string& avatar, std::string_view interface,
                            const Status& why) {
  parts_.metrics->Count(Labelled("sessions_refused_total", {{"reason", RefusedLabel(why)}}), 1);
  CountRequest(interface, why);
  parts_.log->Log(LogLevel::kWarning, "session_refused",
                  {{"avatar", avatar::ShownText(avatar, kShownBytes)},
                   {"interface", std::string(interface)},
                   {"code", std::string(CodeName(why.code()))},
                   {"why", why.message()}});
}

/// Of a stream by any way but gRPC, whose calls are counted as such.
void StreamRecords::CountRequest(std::string_view interface, const Status& why) {
  if (interface == "grpc") return;
  parts_.metrics->Count(
      Labelled("requests_total",
               {{"interface", interface}, {"method", "speak"}, {"code", CodeName(why.code())}}),
      1);
}

/// Counters are whole: what a piece has beyond whole seconds waits for the next.
void StreamRecords::AddAudio(std::chrono::nanoseconds length) {
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t before = audio_ns_.fetch_add(length.count());
  const int64_t whole = (before + length.count()) / kSecond - before / kSecond;
  if (whole > 0) parts_.metrics->Count("audio_seconds_total", whole);
}

void StreamRecords::Add(StreamRecord* record) {
  const std::lock_guard lock(mu_);
  open_.insert(record);
}

void StreamRecords::Remove(StreamRecord* record) {
  const std::lock_guard lock(mu_);
  open_.erase(record);
  if (!record->facts_.live) return;
  gone_sent_ += static_cast<double>(record->sent_ - record->window_sent_);
  gone_wanted_ += record->facts_.fps.value() *
                  Seconds(parts_.clock->Now() - std::max(window_, record->opened_));
}

void StreamRecords::Sample() {
  int idle = 0, speaking = 0;
  size_t waiting = 0;
  double skew = 0;
  {
    const std::lock_guard lock(mu_);
    for (const StreamRecord* record : open_) {
      ++(record->speaking_ ? speaking : idle);
      waiting = std::max(waiting, record->waiting_.load());
      skew = std::max(skew, record->SkewSeconds());
    }
    const TimePoint now = parts_.clock->Now();
    if (now - window_ >= kWindow) CloseWindow(now);
  }
  Metrics& metrics = *parts_.metrics;
  metrics.Gauge("sessions{state=\"opening\"}", opening_);
  metrics.Gauge("sessions{state=\"idle\"}", idle);
  metrics.Gauge("sessions{state=\"speaking\"}", speaking);
  metrics.Gauge("queue_depth{queue=\"events\"}", static_cast<double>(waiting));
  metrics.Gauge("av_skew_seconds", skew);
}

void StreamRecords::CloseWindow(TimePoint now) {
  double sent = std::exchange(gone_sent_, 0), wanted = std::exchange(gone_wanted_, 0);
  double slowest = 1;
  for (StreamRecord* record : open_) {
    if (!record->facts_.live) continue;
    const int64_t in_time = record->in_time_;
    const int64_t all_sent = record->sent_;
    const double wanted_of_it =
        record->facts_.fps.value() * Seconds(now - std::max(window_, record->opened_));
    sent += static_cast<double>(all_sent - std::exchange(record->window_sent_, all_sent));
    wanted += wanted_of_it;
    const auto drawn =
        static_cast<double>(in_time - std::exchange(record->window_in_time_, in_time));
    if (record->opened_ <= window_) slowest = std::min(slowest, drawn / wanted_of_it);
  }
  const double seconds = Seconds(now - window_);
  parts_.metrics->Gauge("frames_per_second", sent / seconds);
  parts_.metrics->Gauge("target_frames_per_second", wanted / seconds);
  parts_.metrics->Gauge("slowest_session_ratio", slowest);
  window_ = now;
}

StreamRecord::StreamRecord(StreamRecords& records, Facts facts)
    : records_(records),
      facts_(std::move(facts)),
      id_(records.NextId()),
      opened_(Now()),
      opened_unix_s_(
          std::chrono::duration_cast<std::chrono::seconds>(  // of the calendar, not of the clock
              std::chrono::system_clock::now().time_since_epoch())
              .count()) {
  log().Log(LogLevel::kInfo, "session_opened",
            {{"session", id_},
             {"avatar", facts_.avatar},
             {"interface", std::string(facts_.interface)},
             {"pace", facts_.live ? "live" : "file"},
             {"fps", facts_.fps.ToString()},
             {"size", fmt::format("{}x{}", facts_.width, facts_.height)},
             {"rate_hz", std::to_string(facts_.rate_hz)}});
  metrics().Count("sessions_opened_total", 1);
  records_.Add(this);
}

StreamRecord::~StreamRecord() { records_.Remove(this); }

void StreamRecord::TookAudio(uint64_t utterance, size_t bytes, TimePoint pushed) {
  if (utterance > heard_id_) {
    heard_id_ = utterance;
    heard_ = pushed;
    first_frame_due_ = true;
  }
  const double samples = static_cast<double>(bytes) / static_cast<double>(facts_.sample_bytes);
  records_.AddAudio(std::chrono::nanoseconds(static_cast<int64_t>(samples / facts_.rate_hz * 1e9)));
}

void StreamRecord::Cleared(const pipeline::ClearPoint& point, const std::string& reason, int muted,
                           TimePoint pushed) {
  const Nanoseconds took = Now() - pushed;
  dropped_ += muted;
  metrics().Count("frames_dropped_total{reason=\"cleared\"}", muted);
  metrics().Observe("clear_seconds", Seconds(took));
  log().Log(LogLevel::kInfo, "speech_cleared",
            {{"session", id_},
             {"utterance", std::to_string(point.utterance)},
             {"played_samples", std::to_string(point.played_samples)},
             {"reason", avatar::ShownText(reason, kShownBytes)},
             {"ms", fmt::format("{:.1f}", Seconds(took) * 1e3)}});
}

std::unique_ptr<FrameSteps> StreamRecord::TookFrame(const pipeline::Frame& frame, TimePoint due,
                                                    size_t waiting) {
  const TimePoint now = Now();
  speaking_ = frame.utterance != 0;
  waiting_ = waiting + 1;
  if (frame.utterance == heard_id_ && std::exchange(first_frame_due_, false)) {
    metrics().Observe("first_frame_seconds", Seconds(now - heard_));
  }
  if (facts_.live) {  // else the last frame's sound may end with the file
    sound_samples_ += static_cast<int64_t>(frame.sound.size()) / facts_.sample_bytes;
    sound_off_samples_ = sound_samples_ - FirstSample(frame.index + 1, facts_.rate_hz, facts_.fps);
  }
  ++taken_;
  metrics().Count("frames_total", 1);
  if (frame.speaking) {
    ++generated_;
    metrics().Count("frames_generated_total", 1);
  }
  if (frame.drawn) {
    ++in_time_;
  } else {
    ++late_;
    metrics().Count("frames_late_total", 1);
  }
  if (records_.parts_.trace == nullptr || !records_.parts_.trace->Wants(frame.index))
    return nullptr;
  auto steps = std::make_unique<FrameSteps>();
  steps->frame = frame.index;
  steps->due = due;
  steps->taken = now;
  steps->drawn = frame.times;
  return steps;
}

void StreamRecord::LeftOut(bool reader, size_t waiting) {
  ++dropped_;
  metrics().Count(reader ? "frames_dropped_total{reason=\"slow_reader\"}"
                         : "frames_dropped_total{reason=\"slow_encoder\"}",
                  1);
  if (std::exchange(told_slow_, true)) return;
  log().Log(LogLevel::kWarning, reader ? "reader_slow" : "encoder_slow",
            {{"session", id_}, {"avatar", facts_.avatar}, {"waiting", std::to_string(waiting)}});
}

void StreamRecord::SoundAtAnotherRate(double factor) {
  metrics().Count("sound_rate_warnings_total", 1);
  log().Log(LogLevel::kWarning, "sound_rate",
            {{"session", id_},
             {"rate_hz", std::to_string(facts_.rate_hz)},
             {"factor", std::to_string(factor)}});
}

void StreamRecord::Encoded(const Status& status, TimePoint due) {
  metrics().Observe("frame_seconds", Seconds(Now() - due));
  if (status.ok()) return;
  ++dropped_;
  metrics().Count("frames_dropped_total{reason=\"not_encoded\"}", 1);
  log().Log(LogLevel::kError, "frame_not_encoded", {{"session", id_}, {"why", status.ToString()}});
}

void StreamRecord::Sent(bool repeated, FrameSteps* steps, size_t left) {
  ++sent_;
  waiting_ = left;
  stale_ = repeated ? stale_ + 1 : 0;
  if (steps == nullptr) return;
  steps->sent = Now();
  records_.parts_.trace->Add(id_, facts_.avatar, *steps);
}

double StreamRecord::SkewSeconds() const {
  const double picture = static_cast<double>(stale_) / facts_.fps.value();
  return picture + static_cast<double>(std::abs(sound_off_samples_)) / facts_.rate_hz;
}

void StreamRecord::Closed(const Status& why, int64_t unread) {
  records_.CountRequest(facts_.interface, why);
  dropped_ += unread;
  metrics().Count("frames_dropped_total{reason=\"ended\"}", unread);
  log().Log(LogLevel::kInfo, "session_closed",
            {{"session", id_},
             {"avatar", facts_.avatar},
             {"interface", std::string(facts_.interface)},
             {"code", std::string(CodeName(why.code()))},
             {"why", why.message()},
             {"frames", std::to_string(taken_)},
             {"generated", std::to_string(generated_)},
             {"late", std::to_string(late_)},
             {"dropped", std::to_string(dropped_)},
             {"seconds", fmt::format("{:.3f}", Seconds(Now() - opened_))}});
}

}  // namespace lipcast::server
