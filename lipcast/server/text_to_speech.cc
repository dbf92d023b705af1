#include "lipcast/server/text_to_speech.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
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

bool Installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.empty() && ::access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
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

/// In a process group of its own, so that it can be ended with all that it started. SIGTERM and
/// SIGPIPE do to it what they do by default, whatever this process made of them.
Result<pid_t> Spawn(const SayProgram& program, int in, int out) {
  std::vector<char*> argv;
  for (const std::string& word : program.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, in, 0);
  posix_spawn_file_actions_adddup2(&files, out, 1);
  posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, argv[0], &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    return Status(Code::kUnavailable,
                  fmt::format("say.command: '{}': {}", avatar::ShownText(program.argv[0], 80),
                              std::strerror(failed)));
  }
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

}  // namespace

std::optional<SayProgram> SayProgramOf(const std::vector<std::string>& command) {
  if (command.empty()) return std::nullopt;
  if (command != std::vector<std::string>{"auto"}) return SayProgram{command};
  if (Installed("espeak-ng")) return SayProgram{{"espeak-ng", "--stdin", "--stdout"}};
  return std::nullopt;
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
