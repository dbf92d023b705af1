#include "lipcast/server/line_writer.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

namespace lipcast::server {
namespace {

using std::chrono::steady_clock;

/// A pipe that poll() calls writable takes this much at once.
constexpr size_t kPieceBytes = 4096;

}  // namespace

LineWriter::LineWriter(int fd, LineWriterOptions options)
    : fd_(fd), options_(std::move(options)), thread_([this] { Run(); }) {}

LineWriter::~LineWriter() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
    give_up_ = steady_clock::now() + options_.close;
  }
  changed_.notify_all();
  thread_.join();
}

bool LineWriter::Write(std::string_view lines, bool urgent) {
  {
    std::lock_guard lock(mu_);
    if (pending_.size() + lines.size() > options_.pending_bytes) {
      ++unnamed_;
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    pending_ += lines;
    urgent_ = urgent_ || urgent;
  }
  changed_.notify_all();
  return true;
}

void LineWriter::Run() {
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
    if (lost > 0 && options_.dropped_line) text += options_.dropped_line(lost);
    const auto unwritten = WriteSome(text);
    dropped_.fetch_add(std::ranges::count(unwritten, '\n'), std::memory_order_relaxed);
    lock.lock();
    if (!unwritten.empty() && stopping_) return;
  }
}

/// What is left because the reader is gone, or stuck at the end.
std::string_view LineWriter::WriteSome(std::string_view text) {
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
