#include "lipcast/server/frame_trace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <vector>

#include "lipcast/server/json_text.h"

namespace lipcast::server {
namespace {

struct Span {
  const char* name;
  TimePoint begin, end;
  int parent;  // index of the span around it, always an earlier one; -1: none
};

/// The spans of one frame, outer ones first, neighbours in order of time.
std::vector<Span> SpansOf(const FrameSteps& steps) {
  const bool drawn = steps.drawn.begin != TimePoint{};
  const TimePoint first = std::min(steps.due, drawn ? steps.drawn.begin : steps.taken);
  std::vector<Span> spans = {{"frame", first, steps.sent, -1}};
  if (drawn) {
    spans.push_back({"draw", steps.drawn.begin, steps.drawn.end, 0});
    if (steps.drawn.generator_begin != TimePoint{}) {
      spans.push_back({"generator", steps.drawn.generator_begin, steps.drawn.generator_end, 1});
    }
  }
  const bool encoded = steps.encoded_from != TimePoint{};
  if (encoded) spans.push_back({"encode", steps.encoded_from, steps.encoded_to, 0});
  spans.push_back({"send", encoded ? steps.encoded_to : steps.taken, steps.sent, 0});
  return spans;
}

std::string Quoted(std::string_view text) {
  std::string out;
  AppendJson(text, &out);
  return out;
}

class ChromeText {
 public:
  ChromeText(const std::string& session, const std::string& avatar, const FrameSteps& steps,
             std::chrono::nanoseconds to_unix)
      : id_(Quoted(session + ":" + std::to_string(steps.frame))), to_unix_(to_unix) {
    const auto spans = SpansOf(steps);
    args_ = fmt::format("{{\"session\":{},\"avatar\":{},\"frame\":{}}}", Quoted(session),
                        Quoted(avatar), steps.frame);
    Open(spans, -1);
    // Outside the spans' order: a frame drawn ahead is due after its drawing.
    Event("due", 'n', steps.due);
  }
  std::string text() && { return std::move(text_); }

 private:
  /// Nestable asynchronous events: frames of a session overlap, as they are drawn ahead.
  void Open(const std::vector<Span>& spans, int parent) {
    for (size_t i = 0; i < spans.size(); ++i) {
      if (spans[i].parent != parent) continue;
      Event(spans[i].name, 'b', spans[i].begin);
      Open(spans, static_cast<int>(i));
      Event(spans[i].name, 'e', spans[i].end);
    }
  }
  void Event(const char* name, char phase, TimePoint at) {
    const std::chrono::duration<double, std::micro> time = at.time_since_epoch() + to_unix_;
    fmt::format_to(std::back_inserter(text_),
                   "{{\"name\":\"{}\",\"cat\":\"lipcast\",\"ph\":\"{}\",\"id\":{},\"pid\":1,"
                   "\"tid\":1,\"ts\":{:.3f}{}{}}},\n",
                   name, phase, id_, time.count(), phase == 'b' ? ",\"args\":" : "",
                   phase == 'b' ? args_ : "");
  }

  const std::string id_;
  const std::chrono::nanoseconds to_unix_;
  std::string args_, text_;
};

/// Ids of a trace are 16 bytes, of a span 8, never all zero. The same frame always has the same.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 14695981039346656037U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash | 1;
}

std::string OtlpText(const std::string& session, const std::string& avatar, const FrameSteps& steps,
                     std::chrono::nanoseconds to_unix) {
  const uint64_t trace_high = Hash(session);
  const auto trace_low = static_cast<uint64_t>(steps.frame) + 1;
  const auto span_id = [&](int index) { return trace_low * 16 + static_cast<uint64_t>(index) + 1; };
  const auto nanoseconds = [&](TimePoint at) { return (at.time_since_epoch() + to_unix).count(); };
  std::string text =
      "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
      "{\"stringValue\":\"lipcast\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"lipcast.server\"},"
      "\"spans\":[";
  const auto spans = SpansOf(steps);
  for (size_t i = 0; i < spans.size(); ++i) {
    const Span& span = spans[i];
    fmt::format_to(std::back_inserter(text),
                   "{}{{\"traceId\":\"{:016x}{:016x}\",\"spanId\":\"{:016x}\",", i > 0 ? "," : "",
                   trace_high, trace_low, span_id(static_cast<int>(i)));
    if (span.parent >= 0) {
      fmt::format_to(std::back_inserter(text), "\"parentSpanId\":\"{:016x}\",",
                     span_id(span.parent));
    }
    fmt::format_to(std::back_inserter(text),
                   "\"name\":\"{}\",\"kind\":1,\"startTimeUnixNano\":\"{}\","
                   "\"endTimeUnixNano\":\"{}\"",
                   span.name, nanoseconds(span.begin), nanoseconds(span.end));
    if (i == 0) {
      fmt::format_to(std::back_inserter(text),
                     ",\"attributes\":[{{\"key\":\"session\",\"value\":{{\"stringValue\":{}}}}},"
                     "{{\"key\":\"avatar\",\"value\":{{\"stringValue\":{}}}}},"
                     "{{\"key\":\"frame\",\"value\":{{\"intValue\":\"{}\"}}}}],"
                     "\"events\":[{{\"name\":\"due\",\"timeUnixNano\":\"{}\"}}]",
                     Quoted(session), Quoted(avatar), steps.frame, nanoseconds(steps.due));
    }
    text += '}';
  }
  return text + "]}]}]}\n";
}

std::chrono::nanoseconds SteadyToUnix() {
  return std::chrono::system_clock::now().time_since_epoch() -
         std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace

Result<std::unique_ptr<FrameTrace>> FrameTrace::Open(const TraceOptions& options) {
  const int fd = ::open(options.file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) {
    return Status(Code::kInvalidArgument, "trace.file = " + options.file.string() +
                                              ": cannot be written: " + std::strerror(errno));
  }
  return std::unique_ptr<FrameTrace>(new FrameTrace(options, fd));
}

FrameTrace::FrameTrace(const TraceOptions& options, int fd)
    : options_(options),
      fd_(fd),
      to_unix_(SteadyToUnix()),
      writer_(std::make_unique<LineWriter>(fd, LineWriterOptions{})) {
  if (options_.format == TraceFormat::kChrome) writer_->Write("{\"traceEvents\":[\n", false);
}

FrameTrace::~FrameTrace() {
  if (!writer_) return;
  if (options_.format == TraceFormat::kChrome) {
    // Names the process, and takes the comma that the event before it left behind.
    writer_->Write(
        "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"lipcast\"}}\n]}\n",
        false);
  }
  writer_ = nullptr;
  ::close(fd_);
}

void FrameTrace::Add(const std::string& session, const std::string& avatar,
                     const FrameSteps& steps) {
  if (!writer_) return;
  const std::string text = options_.format == TraceFormat::kChrome
                               ? ChromeText(session, avatar, steps, to_unix_).text()
                               : OtlpText(session, avatar, steps, to_unix_);
  const auto size = static_cast<int64_t>(text.size());
  // Room is taken before it is written, so that writers side by side stay within the bound.
  if (written_.fetch_add(size, std::memory_order_relaxed) + size > options_.max_bytes) return;
  writer_->Write(text, false);
}

}  // namespace lipcast::server
