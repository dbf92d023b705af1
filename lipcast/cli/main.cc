#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "lipcast/cli/avatar_command.h"
#include "lipcast/cli/bench.h"
#include "lipcast/cli/doctor.h"
#include "lipcast/cli/exit_codes.h"
#include "lipcast/cli/failure.h"
#include "lipcast/cli/inspect.h"
#include "lipcast/cli/interrupt.h"
#include "lipcast/cli/render.h"
#if LIPCAST_NETWORK
#include "lipcast/cli/serve.h"
#endif
#include "lipcast/media/libav_log.h"

namespace {

int Run(int argc, char** argv) {
  using namespace lipcast;
  CLI::App app("lipcast: speech in, a talking person out", "lipcast");
  app.set_version_flag("--version", "lipcast " LIPCAST_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done; 1 failed; 2 wrong option; 3 input cannot be used; 4 output cannot be\n"
      "written; 5 something is missing (lipcast doctor shows what); 130 interrupted.");
  int exit_code = cli::kExitOk;
  cli::AddRender(app, exit_code);
#if LIPCAST_NETWORK
  cli::AddServe(app, exit_code);
#endif
  cli::AddAvatar(app, exit_code);
  cli::AddInspect(app, exit_code);
  cli::AddDoctor(app, exit_code);
  cli::AddBench(app, exit_code);

  cli::CatchInterrupts();
  media::InitLibav();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    std::string reason = error.what();
    if (app.get_subcommands().empty()) {
      const bool none = app.remaining_size() == 0;
      reason = (none ? "no command" : "'" + app.remaining().front() + "': no such command") +
               "; want render, serve, avatar, inspect, doctor or bench";
    }
    return cli::Fail(cli::kExitUsage, reason + " (lipcast --help)");
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {  // out of memory, a full disk under the C++ library
    std::fprintf(stderr, "lipcast: %s\n", error.what());
    return lipcast::cli::kExitFailure;
  }
}
