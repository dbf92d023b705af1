#include "lipcast/cli/doctor.h"

#include <fmt/format.h>
#include <hwy/targets.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "lipcast/cli/failure.h"
#include "lipcast/cli/report.h"
#include "lipcast/cli/workplace.h"
#include "lipcast/generator/generator.h"
#include "lipcast/media/encoder_info.h"
#include "lipcast/pipeline/session.h"

namespace lipcast::cli {
namespace {

using Json = nlohmann::ordered_json;

/// The instruction sets this build has kernels for and this CPU can run, best first.
std::vector<std::string> SimdTargets() {
  std::vector<std::string> names;
  for (int64_t rest = hwy::SupportedTargets(); rest != 0; rest &= rest - 1) {
    names.emplace_back(hwy::TargetName(rest & -rest));
  }
  return names;
}

double TotalMemoryGb() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<double>(sysconf(_SC_PAGE_SIZE)) / (1 << 30);
}

/// Speaks one second with the avatar and counts the frames that the model drew.
Result<Json> SelfTest(const Workplace& place, const std::string& avatar_name) {
  const auto start = std::chrono::steady_clock::now();
  LC_ASSIGN_OR_RETURN(const auto avatar, place.LoadAvatar(avatar_name));
  const std::chrono::duration<double> load = std::chrono::steady_clock::now() - start;
  pipeline::SessionOptions options;
  options.format.type = audio::SampleType::kF32;
  options.idle = pipeline::Idle::kModel;
  LC_ASSIGN_OR_RETURN(const auto session, place.engine->Open(avatar, options));
  std::vector<float> tone(16'000);
  for (size_t i = 0; i < tone.size(); ++i) {
    tone[i] = static_cast<float>(static_cast<int>(i * 37 % 160) - 80) / 200.0F;
  }
  LC_RETURN_IF_ERROR(session->Audio(1, std::as_bytes(std::span(tone))));
  LC_RETURN_IF_ERROR(session->End(1));
  LC_RETURN_IF_ERROR(session->Finish());
  int64_t generated = 0;
  const auto begin = std::chrono::steady_clock::now();
  while (true) {
    LC_ASSIGN_OR_RETURN(const auto event, session->Next());
    if (!event) break;
    if (event->kind == pipeline::Event::Kind::kFrame && event->frame.speaking) ++generated;
  }
  const std::chrono::duration<double> draw = std::chrono::steady_clock::now() - begin;
  const int64_t wanted =
      FramesFor(static_cast<int64_t>(tone.size()), options.format.rate_hz, session->fps());
  if (generated == 0) {
    return Status(Code::kInternal,
                  "self test: the model drew 0 of " + std::to_string(wanted) + " frames");
  }
  return Json{{"avatar", avatar->avatar->manifest().name},
              {"provider", inference::ProviderName(avatar->generator->provider())},
              {"load_s", load.count()},
              {"frames", wanted},
              {"generated", generated},
              {"frames_per_s", static_cast<double>(wanted) / draw.count()}};
}

int RunDoctor(const std::string& avatar, bool json) {
  Json report;
  std::vector<std::string> problems;
  report["version"] = LIPCAST_VERSION;
  report["cpu"] = CpuName();
  report["cores"] = CoreCount();
  report["simd"] = SimdTargets();
  report["memory_gb"] = TotalMemoryGb();
  report["families"] = generator::FamilyNames();

  const media::EncoderInfo encoders = media::FindEncoders();
  report["libav"] = encoders.libav_version;
  report["libav_licence"] = encoders.licence;
  report["h264_encoders"] = encoders.h264_encoders;
  report["aac_encoders"] = encoders.aac_encoders;
  if (encoders.h264_encoders.empty())
    problems.emplace_back("no H.264 encoder: MP4 and MKV cannot be written");

  auto place = Workplace::Create({});
  if (!place.ok()) {
    problems.push_back(place.status().message());
  } else {
    report["backend"] = (*place)->backend->description();
    for (const auto provider : (*place)->backend->available_providers()) {
      report["providers"].push_back(inference::ProviderName(provider));
    }
    auto test = SelfTest(**place, avatar);
    if (test.ok()) {
      report["self_test"] = *test;
    } else {
      problems.push_back(test.status().message());
    }
  }
  report["problems"] = problems;
  if (json) {
    fmt::print("{}\n", report.dump(2));
  } else {
    for (const auto& [key, value] : report.items()) {
      if (key == "problems") continue;
      fmt::print("{:<14} {}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
    }
    for (const std::string& problem : problems) fmt::print("problem        {}\n", problem);
    fmt::print("{}\n", problems.empty() ? "all well" : "not all well");
  }
  return problems.empty() ? kExitOk : kExitUnavailable;
}

}  // namespace

void AddDoctor(CLI::App& app, int& exit_code) {
  struct Args {
    std::string avatar = "demo";
    bool json = false;
  };
  auto args = std::make_shared<Args>();
  CLI::App* command =
      app.add_subcommand("doctor", "What this machine has: CPU, libraries, encoders, a self test");
  command->add_option("-a,--avatar", args->avatar, "Avatar of the self test")
      ->capture_default_str();
  command->add_flag("--json", args->json, "Print JSON");
  command->callback([args, &exit_code] { exit_code = RunDoctor(args->avatar, args->json); });
}

}  // namespace lipcast::cli
