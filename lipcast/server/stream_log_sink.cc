#include "lipcast/server/stream_log_sink.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "lipcast/server/json_text.h"

namespace lipcast::server {
namespace {

using std::chrono::milliseconds;

std::string TimeText(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto ms = std::chrono::duration_cast<milliseconds>(time - whole).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(whole)), ms);
}

void AppendMember(std::string_view key, std::string_view value, std::string* out) {
  out->push_back(out->empty() ? '{' : ',');
  AppendJson(key, out);
  out->push_back(':');
  AppendJson(value, out);
}

}  // namespace

StreamLogSink::StreamLogSink(int fd, StreamLogOptions options)
    : options_(std::move(options)),
      least_(options_.least),
      writer_(fd, {options_.flush, options_.pending_bytes, options_.close, [this](int64_t lines) {
                     const LogField field{"lines", std::to_string(lines)};
                     return Line(LogLevel::kWarning, "log_lines_dropped", std::span(&field, 1));
                   }}) {}

bool StreamLogSink::Wanted(LogLevel level, std::string_view event) {
  if (level < least_.load(std::memory_order_relaxed)) return false;
  if (level != LogLevel::kDebug || options_.debug_sample <= 1) return true;
  auto& seen = debug_lines_[std::hash<std::string_view>()(event) % debug_lines_.size()];
  return seen.fetch_add(1, std::memory_order_relaxed) %
             static_cast<uint32_t>(options_.debug_sample) ==
         0;
}

std::string StreamLogSink::Line(LogLevel level, std::string_view event,
                                std::span<const LogField> fields) const {
  const std::string time = TimeText(options_.now());
  if (!options_.json) return time + " " + FormatLogLine(level, event, fields) + "\n";
  std::string line;
  AppendMember("time", time, &line);
  AppendMember("level", LogLevelName(level), &line);
  AppendMember("event", event, &line);
  for (const LogField& field : fields) {
    const bool taken = field.key == "time" || field.key == "level" || field.key == "event";
    AppendMember(taken ? "field_" + std::string(field.key) : field.key, field.value, &line);
  }
  return line + "}\n";
}

void StreamLogSink::Log(LogLevel level, std::string_view event, std::span<const LogField> fields) {
  if (!Wanted(level, event)) return;
  writer_.Write(Line(level, event, fields), level >= LogLevel::kWarning);
}

}  // namespace lipcast::server
