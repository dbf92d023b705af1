#include "lipcast/server/text_to_speech.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kLookEveryMs = 20;                     // for the wish to stop
constexpr std::chrono::milliseconds kToTidyUp{500};  // from SIGTERM to SIGKILL

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::optional<std::string> Installed(const std::string& program) {
  if (program.find('/') != std::string::npos) {
    return ::access(program.c_str(), X_OK) == 0 ? std::optional(program) : std::nullopt;
  }
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string file = folder + "/" + program;
    if (!folder.empty() && ::access(file.c_str(), X_OK) == 0) return file;
  }
  return std::nullopt;
}

/// Of errno.
Status NotStarted(const std::string& program) {
  return Status(
      Code::kUnavailable,
      fmt::format("say.command: '{}': {}", avatar::ShownText(program, 80), std::strerror(errno)));
}

Status SystemFailure(const std::string& what) {
  return Status(Code::kUnavailable, "say: " + what + ": " + std::strerror(errno));
}

/// A file in memory that reads as `text`.
Result<Descriptor> TextFile(const std::string& text) {
  Descriptor file(::memfd_create("lipcast-say", MFD_CLOEXEC));
  if (file.get() < 0) return SystemFailure("memfd_create");
  size_t at = 0;
  while (at < text.size()) {
    const ssize_t wrote = ::write(file.get(), text.data() + at, text.size() - at);
    if (wrote <= 0) return SystemFailure("the text");
    at += static_cast<size_t>(wrote);
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

/// The program as a file: as the shell finds it in PATH, or as it is where it has a slash.
Result<std::string> FileOf(const std::string& program) {
  if (program.find('/') != std::string::npos) return program;
  if (std::optional<std::string> found = Installed(program)) return *std::move(found);
  errno = ENOENT;
  return NotStarted(program);
}

/// What the child does before it is the program: it shares this process' memory and holds its
/// thread, so it touches nothing but its own signals, files and group. Returns only if it failed.
int BecomeProgram(const char* file, char* const* argv, int in, int out, pid_t server) {
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &usual, nullptr);
  // Whatever ends this server, a crash too, ends the program.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  if (::getppid() != server) return ESRCH;
  const int nothing = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nothing < 0 || ::setpgid(0, 0) != 0) return errno;
  if (::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(nothing, 2) < 0) return errno;
  for (int fd = 0; fd < 3; ++fd) ::fcntl(fd, F_SETFD, 0);
  ::closefrom(3);
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  ::execve(file, argv, environ);
  return errno;
}

/// The child, or -1; then errno says why. It has no object that vfork could leave half changed, and
/// stays a function of its own for that.
[[gnu::noinline]] pid_t Start(const char* file, char* const* argv, int in, int out) {
  const pid_t server = ::getpid();
  volatile int failed = 0;  // written by the child
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // no handler of ours runs in the child
  const pid_t child = ::vfork();
  if (child == 0) {
    failed = BecomeProgram(file, argv, in, out, server);
    ::_exit(127);
  }
  const int error = child < 0 ? errno : failed;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) return child;
  if (child > 0) {
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  errno = error;
  return -1;
}

/// In a process group of its own, so that it can be ended with all that it started, and with every
/// signal as it is by default, whatever this process made of it. vfork: posix_spawn knows no way to
/// tie a child to its parent's life. The tie is to the calling thread, which waits for the child.
Result<pid_t> Spawn(const SayProgram& program, int in, int out) {
  LC_ASSIGN_OR_RETURN(const std::string file, FileOf(program.argv[0]));
  std::vector<char*> argv;
  for (const std::string& word : program.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = Start(file.c_str(), argv.data(), in, out);
  if (child < 0) return NotStarted(program.argv[0]);
  return child;
}

Status Late(const SayProgram& program, const std::stop_token& stop) {
  if (stop.stop_requested()) return refusal::Draining();
  return Status(Code::kDeadlineExceeded,
                fmt::format("say: no whole sound within {} ms", program.limit.count()));
}

Result<std::string> ReadAll(const SayProgram& program, int from, SteadyClock::time_point end,
                            const std::stop_token& stop) {
  std::string sound;
  char piece[64 << 10];
  while (true) {
    if (stop.stop_requested() || SteadyClock::now() >= end) return Late(program, stop);
    pollfd wait{from, POLLIN, 0};
    const int ready = ::poll(&wait, 1, kLookEveryMs);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    if (ready < 0) return SystemFailure("poll");
    const ssize_t bytes = ::read(from, piece, sizeof(piece));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return SystemFailure("read");
    if (bytes == 0) return sound;
    sound.append(piece, static_cast<size_t>(bytes));
    if (sound.size() > program.sound_bytes) {
      return refusal::Exhausted(refusal::kSize,
                                fmt::format("say: a sound above {} bytes", program.sound_bytes));
    }
  }
}

/// Whether the program has ended by then: one may close its output and live on.
bool WaitUntil(SteadyClock::time_point end, pid_t child, const std::stop_token& stop, int* state) {
  while (true) {
    const pid_t ended = ::waitpid(child, state, WNOHANG);
    if (ended == child) return true;
    if (ended < 0 && errno != EINTR) return false;
    if (stop.stop_requested() || SteadyClock::now() >= end) return false;
    ::poll(nullptr, 0, 1);
  }
}

/// Ends the whole group: SIGTERM, so that it can remove its files, then SIGKILL to what is left of
/// it. The child is reaped last: until then its number is nobody else's.
void End(pid_t child) {
  ::kill(-child, SIGTERM);
  const auto limit = SteadyClock::now() + kToTidyUp;
  siginfo_t ended{};
  while (SteadyClock::now() < limit) {
    const int failed =
        ::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT);
    if (failed == 0 ? ended.si_pid == child : errno != EINTR) break;
    ::poll(nullptr, 0, 1);
  }
  ::kill(-child, SIGKILL);
  int state = 0;
  while (::waitpid(child, &state, 0) < 0 && errno == EINTR) {
  }
}

/// Tells the group while it may run.
class Told {
 public:
  Told(std::atomic<pid_t>* where, pid_t group) : where_(where) {
    if (where_ != nullptr) where_->store(group);
  }
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;
  ~Told() {
    if (where_ != nullptr) where_->store(0);
  }

 private:
  std::atomic<pid_t>* where_;
};

}  // namespace

Result<std::optional<SayProgram>> SayProgramOf(const std::vector<std::string>& command) {
  using Found = std::optional<SayProgram>;
  if (command.empty()) return Found();
  if (command == std::vector<std::string>{"auto"}) {
    if (!Installed("espeak-ng")) return Found();
    return Found(SayProgram{{"espeak-ng", "--stdin", "--stdout"}});
  }
  if (!Installed(command[0])) {
    return Status(Code::kInvalidArgument,
                  fmt::format("say.command: '{}': no such program; want one that can be started, "
                              "auto, or an empty list, which is off",
                              avatar::ShownText(command[0], 80)));
  }
  return Found(SayProgram{command});
}

Result<std::string> Say(const SayProgram& program, const std::string& text, std::stop_token stop) {
  const bool blank = text.find_first_not_of(" \t\r\n") == std::string::npos;
  if (blank || text.size() > kMaxSayBytes || !avatar::IsUtf8(text)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("text of {} bytes: want 1..{} bytes of UTF-8 with words in it",
                              text.size(), kMaxSayBytes));
  }
  LC_ASSIGN_OR_RETURN(const Descriptor in, TextFile(text));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return SystemFailure("pipe");
  const Descriptor from(ends[0]);
  Descriptor to(ends[1]);
  LC_ASSIGN_OR_RETURN(const pid_t child, Spawn(program, in.get(), to.get()));
  const Told told(program.group, child);
  to = Descriptor();  // theirs alone, so that its end is seen
  const auto end = SteadyClock::now() + program.limit;
  auto sound = ReadAll(program, from.get(), end, stop);
  int state = 0;
  if (sound.ok() && !WaitUntil(end, child, stop, &state)) sound = Late(program, stop);
  if (!sound.ok()) {
    End(child);
    return sound.status();
  }
  if (!WIFEXITED(state) || WEXITSTATUS(state) != 0 || !sound->starts_with("RIFF")) {
    return Status(Code::kUnavailable,
                  fmt::format("say.command: '{}' gave no WAV (it ended with {})",
                              avatar::ShownText(program.argv[0], 80),
                              WIFEXITED(state) ? WEXITSTATUS(state) : -1));
  }
  return sound;
}

}  // namespace lipcast::server
