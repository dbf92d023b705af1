#include "lipcast/cli/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

namespace lipcast::cli {
namespace {

// A signal handler can reach nothing but globals: the one place that has any.
std::atomic<int> g_signals{0};
int g_pipe[2] = {-1, -1};

void OnSignal(int) {
  if (g_signals.fetch_add(1) > 0) _exit(130);
  StopWaiting();
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

bool Interrupted() { return g_signals.load() > 0; }

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
