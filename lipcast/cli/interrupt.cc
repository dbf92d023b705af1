#include "lipcast/cli/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <string_view>

namespace lipcast::cli {
namespace {

// A signal handler can reach nothing but globals: the one place that has any.
std::atomic<int64_t> g_first_ms{0};  // since the machine started; 0: none came yet
std::atomic<bool> g_writes_file{false};
std::atomic<pid_t> g_group{0};
int g_pipe[2] = {-1, -1};

/// `timeout` and some shells tell a process and its group: two signals for one wish.
constexpr int64_t kOneWishMs = 500;
constexpr std::string_view kEndedAtOnce = "lipcast: ended at once\n";
constexpr std::string_view kEndedWhileWriting =
    "lipcast: ended at once; an unfinished file (.lipcast-*.part) may lie beside the output\n";

int64_t NowMs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000 + 1;
}

void OnSignal(int) {
  const int error = errno;  // whoever was interrupted may be about to read it
  int64_t first = 0;
  const int64_t now = NowMs();
  if (g_first_ms.compare_exchange_strong(first, now)) {
    StopWaiting();
  } else if (now - first >= kOneWishMs) {
    if (const pid_t group = g_group.load(); group > 0) kill(-group, SIGKILL);
    const std::string_view line = g_writes_file.load() ? kEndedWhileWriting : kEndedAtOnce;
    [[maybe_unused]] const ssize_t told = write(STDERR_FILENO, line.data(), line.size());
    _exit(130);
  }
  errno = error;
}

}  // namespace

void CatchInterrupts() {
  if (pipe2(g_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return;
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void EndingAtOnceLeavesAFile() { g_writes_file.store(true); }

std::atomic<pid_t>& GroupThatEndsToo() { return g_group; }

bool Interrupted() { return g_first_ms.load() != 0; }

void StopWaiting() {
  const char byte = 0;
  [[maybe_unused]] const ssize_t written = write(g_pipe[1], &byte, 1);
}

bool WaitReadable(int fd) {
  pollfd fds[2] = {{fd, POLLIN, 0}, {g_pipe[0], POLLIN, 0}};
  while (true) {
    const int ready = poll(fds, 2, -1);
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0 && fds[1].revents == 0;
  }
}

}  // namespace lipcast::cli
