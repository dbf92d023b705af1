#include "lipcast/cli/avatar_command.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "lipcast/cli/failure.h"
#include "lipcast/cli/workplace.h"

namespace lipcast::cli {
namespace {

// An installed wheel wins over the folders, which are appended.
constexpr const char* kBootstrap = R"(import sys
sys.path = [p for p in sys.path if p] + sys.argv.pop(1).split(':')
try:
    from lipcast_studio.__main__ import main
except ModuleNotFoundError as error:
    print(f'lipcast: {sys.executable}: {error}; want Python 3.11 with lipcast-studio'
          ' (LIPCAST_PYTHON names another)', file=sys.stderr)
    sys.exit(5)
sys.exit(main())
)";

/// This program's own file; empty where the system does not tell.
std::filesystem::path ThisBinary() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error);
}

/// Where lipcast_studio may lie: beside the installed binary, or in the source tree it was built
/// from.
std::string StudioFolders(const std::filesystem::path& binary) {
  std::string folders;
  if (!binary.empty()) {
    folders = (binary.parent_path().parent_path() / "share/lipcast/python").string() + ':';
  }
  return folders + LIPCAST_BUILD_PYTHON;
}

/// LIPCAST_PYTHON, or what `make studio` set up beside the source tree, or the system's.
std::string Interpreter() {
  const char* chosen = std::getenv("LIPCAST_PYTHON");
  if (chosen != nullptr && *chosen != '\0') return chosen;
  const auto made =
      std::filesystem::path(LIPCAST_BUILD_PYTHON).parent_path() / ".deps/python/bin/python";
  std::error_code error;
  return std::filesystem::exists(made, error) ? made.string() : "python3";
}

int RunStudio(const std::vector<std::string>& arguments) {
  const std::string python = Interpreter();
  const std::filesystem::path binary = ThisBinary();
  // The studio renders with the very program that started it.
  if (!binary.empty()) setenv("LIPCAST_BIN", binary.c_str(), 1);
  // It finds an avatar by name where every command does.
  std::string roots;
  for (const auto& root : AvatarRoots()) roots += root.string() + ':';
  setenv("LIPCAST_AVATARS", roots.c_str(), 1);
  std::vector<std::string> words = {python, "-c", kBootstrap, StudioFolders(binary)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execvp(python.c_str(), argv.data());
  return Fail(kExitUnavailable, python + ": " + std::strerror(errno) +
                                    "; 'lipcast avatar' needs Python 3.11 with lipcast-studio "
                                    "(LIPCAST_PYTHON names it)");
}

}  // namespace

void AddAvatar(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "avatar", "Make avatars, make them faster, pack and list them (needs Python)");
  command->prefix_command();
  command->set_help_flag();  // its --help is lipcast_studio's
  command->callback([command, &exit_code] { exit_code = RunStudio(command->remaining()); });
}

}  // namespace lipcast::cli
