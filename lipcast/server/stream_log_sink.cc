#include "lipcast/server/stream_log_sink.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iterator>

#include "lipcast/avatar/package_path.h"

namespace lipcast::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A pipe that poll() calls writable takes this much at once.
constexpr size_t kPieceBytes = 4096;

std::string TimeText(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto ms = std::chrono::duration_cast<milliseconds>(time - whole).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(whole)), ms);
}

/// Bytes of the well-formed UTF-8 character that `text` begins with; 0 if it begins with none.
size_t CharacterBytes(std::string_view text) {
  for (size_t size = 1; size <= std::min<size_t>(4, text.size()); ++size) {
    if (avatar::IsUtf8(text.substr(0, size))) return size;
  }
  return 0;
}

/// The character's number if it is a control character or ends a line for somebody, else -1.
int LineEnder(std::string_view character) {
  const auto byte = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return byte < ' ' || byte == 0x7f ? byte : -1;
  const auto last = static_cast<unsigned char>(character.back());
  if (byte == 0xc2 && last <= 0x9f) return last;
  if (character == "\u2028" || character == "\u2029") return 0x2028 + (last & 1);
  return -1;
}

void AppendJson(std::string_view text, std::string* out) {
  out->push_back('"');
  while (!text.empty()) {
    const size_t size = CharacterBytes(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (size == 0) {
      out->append("\xef\xbf\xbd");
    } else if (byte == '"' || byte == '\\') {
      out->append({'\\', text[0]});
    } else if (const int ends = LineEnder(text.substr(0, size)); ends >= 0) {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", ends);
    } else {
      out->append(text.substr(0, size));
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  out->push_back('"');
}

void AppendMember(std::string_view key, std::string_view value, std::string* out) {
  out->push_back(out->empty() ? '{' : ',');
  AppendJson(key, out);
  out->push_back(':');
  AppendJson(value, out);
}

}  // namespace

StreamLogSink::StreamLogSink(int fd, StreamLogOptions options)
    : fd_(fd), options_(std::move(options)), least_(options_.least), thread_([this] { Run(); }) {}

StreamLogSink::~StreamLogSink() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
    give_up_ = steady_clock::now() + options_.close;
  }
  changed_.notify_all();
  thread_.join();
}

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
  const std::string line = Line(level, event, fields);
  {
    std::lock_guard lock(mu_);
    if (pending_.size() + line.size() > options_.pending_bytes) {
      ++unnamed_;
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    pending_ += line;
    urgent_ = urgent_ || level >= LogLevel::kWarning;
  }
  changed_.notify_all();
}

void StreamLogSink::Run() {
  // Signals are main's; and a reader that is gone must not end the process (SIGPIPE).
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock lock(mu_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || !pending_.empty() || unnamed_ > 0; });
    changed_.wait_for(lock, options_.flush, [&] { return stopping_ || urgent_; });
    if (pending_.empty() && unnamed_ == 0) return;  // stopping, and all is written
    std::string text = std::exchange(pending_, {});
    urgent_ = false;
    const int64_t lost = std::exchange(unnamed_, 0);
    lock.unlock();
    if (lost > 0) {
      const LogField field{"lines", std::to_string(lost)};
      text += Line(LogLevel::kWarning, "log_lines_dropped", std::span(&field, 1));
    }
    const auto unwritten = WriteSome(text);
    dropped_.fetch_add(std::ranges::count(unwritten, '\n'), std::memory_order_relaxed);
    lock.lock();
    if (!unwritten.empty() && stopping_) return;
  }
}

/// What is left because the reader is gone, or stuck at the end.
std::string_view StreamLogSink::WriteSome(std::string_view text) {
  while (!text.empty() && fd_ >= 0) {  // poll() waits for ever for a descriptor of -1
    pollfd wait{.fd = fd_, .events = POLLOUT, .revents = 0};
    const int ready = poll(&wait, 1, 50);
    if (ready == 0 || (ready < 0 && errno == EINTR)) {
      std::lock_guard lock(mu_);
      if (stopping_ && steady_clock::now() >= give_up_) break;
      continue;
    }
    const ssize_t count = write(fd_, text.data(), std::min(text.size(), kPieceBytes));
    if (count < 0 && errno != EINTR && errno != EAGAIN) break;
    if (count > 0) text.remove_prefix(static_cast<size_t>(count));
  }
  return text;
}

}  // namespace lipcast::server
