#include "lipcast/cli/bench.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "lipcast/audio/audio_reader.h"
#include "lipcast/avatar/find_avatar.h"
#include "lipcast/cli/failure.h"
#include "lipcast/cli/feature_flags.h"
#include "lipcast/cli/interrupt.h"
#include "lipcast/cli/progress.h"
#include "lipcast/cli/report.h"
#include "lipcast/cli/workplace.h"
#include "lipcast/media/jpeg_codec.h"
#include "lipcast/media/libav_audio_reader.h"
#include "lipcast/media/open_sink.h"
#include "lipcast/pipeline/session.h"

namespace lipcast::cli {
namespace {

struct BenchArgs {
  std::string avatar = "demo", audio, encoder = "jpeg", provider = "cpu", idle = "model";
  int64_t frames = 500, warm_up = 0;
  int threads = 0, batch = 1, quality = 75;
  bool json = false;
  FeatureFlags features;
};

constexpr size_t kReadBytes = 64 << 10;

/// The avatar's own speech, else the demo's sentence, where the avatars are.
Result<std::string> FindSpeech(const std::string& avatar) {
  const auto roots = AvatarRoots();
  std::vector<std::filesystem::path> folders;
  if (const auto found = avatar::FindAvatar(avatar, roots); found.ok()) folders.push_back(*found);
  for (const auto& root : roots) folders.push_back(root / "demo");
  std::string tried;
  for (const auto& folder : folders) {
    const auto path = folder / "speech.wav";
    std::error_code error;
    if (std::filesystem::exists(path, error)) return path.string();
    tried += (tried.empty() ? "" : ", ") + path.string();
  }
  return Status(Code::kNotFound,
                "no speech to bench with; looked for " + tried + "; --audio names one");
}

/// Reads the file over and over until `frames` frames of it were given.
Status FeedLoop(const std::string& path, int64_t frames, pipeline::Session& session) {
  std::vector<std::byte> buffer(kReadBytes);
  int64_t left = -1;
  while (left != 0) {
    LC_ASSIGN_OR_RETURN(const auto reader, audio::OpenAudio(path, media::OpenLibavAudio));
    const audio::AudioFormat& format = reader->format();
    if (left < 0) left = FirstSample(frames, format.rate_hz, session.fps()) * format.frame_bytes();
    const int64_t before = left;
    while (left > 0) {
      size_t bytes = 0;
      {
        StageTimer timer(session.times(), Stage::kDecode);
        LC_ASSIGN_OR_RETURN(bytes, reader->Read(buffer));
      }
      bytes = std::min(bytes, static_cast<size_t>(left));
      if (bytes == 0) break;
      left -= static_cast<int64_t>(bytes);
      LC_RETURN_IF_ERROR(session.Audio(1, std::span(buffer).first(bytes)));
    }
    if (left == before) return Status(Code::kInvalidArgument, "'" + path + "': no audio in it");
  }
  LC_RETURN_IF_ERROR(session.End(1));
  return session.Finish();
}

/// What happens to a finished frame.
class FrameSink {
 public:
  static Result<std::unique_ptr<FrameSink>> Create(const BenchArgs& args,
                                                   const pipeline::SessionOptions& options,
                                                   const pipeline::LoadedAvatar& avatar) {
    auto sink = std::make_unique<FrameSink>();
    sink->quality_ = args.quality;
    sink->jpeg_ = args.encoder == "jpeg";
    if (args.encoder != "h264") return sink;
    media::SinkOptions movie;
    sink->path_ = std::filesystem::temp_directory_path() /
                  ("lipcast-bench-" + std::to_string(getpid()) + ".mp4");
    movie.fps = avatar.avatar->manifest().fps;
    movie.width = avatar.avatar->manifest().width;
    movie.height = avatar.avatar->manifest().height;
    movie.audio = options.format;
    movie.overwrite = true;
    LC_ASSIGN_OR_RETURN(sink->movie_, media::OpenSink(sink->path_.string(), "", movie));
    return sink;
  }
  ~FrameSink() {
    std::error_code error;
    if (!path_.empty()) std::filesystem::remove(path_, error);
  }
  Status Write(const pipeline::Frame& frame, StageTimes& times) {
    if (jpeg_) {
      StageTimer timer(times, Stage::kEncode);
      return media::EncodeJpeg(frame.picture, quality_, 0, &bytes_);
    }
    if (!movie_) return {};
    {
      StageTimer timer(times, Stage::kEncode);
      LC_RETURN_IF_ERROR(movie_->WriteFrame(frame.picture));
    }
    StageTimer timer(times, Stage::kMux);
    return movie_->WriteAudio(frame.sound);
  }
  Status Finish(StageTimes& times) {
    if (!movie_) return {};
    StageTimer timer(times, Stage::kMux);
    return movie_->Finish().status();
  }

 private:
  bool jpeg_ = false;
  int quality_ = 75;
  std::vector<uint8_t> bytes_;
  std::filesystem::path path_;
  std::unique_ptr<media::VideoSink> movie_;
};

/// `warm_s`: when the last frame of the warm-up was out.
Status DrainBench(pipeline::Session& session, FrameSink& sink, Progress& progress,
                  const BenchArgs& args, double* warm_s) {
  while (!Interrupted()) {
    LC_ASSIGN_OR_RETURN(const auto event, session.Next());
    if (!event) break;
    if (event->kind != pipeline::Event::Kind::kFrame) continue;
    LC_RETURN_IF_ERROR(sink.Write(event->frame, session.times()));
    progress.Update(event->frame.index + 1, args.frames);
    if (event->frame.index + 1 == args.warm_up) *warm_s = progress.seconds();
  }
  progress.Clear();
  return sink.Finish(session.times());
}

int RunBench(const BenchArgs& args) {
  if (args.warm_up >= args.frames) {
    return Fail(kExitUsage, Status(Code::kInvalidArgument,
                                   fmt::format("--warm-up = {}: want less than --frames = {}",
                                               args.warm_up, args.frames)));
  }
  const auto provider = inference::ParseProvider(args.provider);
  if (!provider.ok()) return Fail(kExitUsage, provider.status());
  const auto features = args.features.Options();
  if (!features.ok()) return Fail(kExitUsage, features.status());
  std::string speech = args.audio;
  if (speech.empty()) {
    auto found = FindSpeech(args.avatar);
    if (!found.ok()) return Fail(kExitInput, found.status());
    speech = *found;
  }
  auto reader = audio::OpenAudio(speech, media::OpenLibavAudio);
  if (!reader.ok()) return Fail(InputExit(reader.status()), reader.status());

  pipeline::EngineOptions engine_options;
  engine_options.workers = args.threads;
  engine_options.avatar.networks_when_read = true;
  engine_options.features = *features;
  engine_options.variant = args.features.Variant();
  engine_options.inference.provider = *provider;
  auto place = Workplace::Create(engine_options);
  if (!place.ok()) return Fail(InputExit(place.status()), place.status());
  auto avatar = (*place)->LoadAvatar(args.avatar);
  if (!avatar.ok()) return Fail(InputExit(avatar.status()), avatar.status());

  pipeline::SessionOptions options;
  options.format = (*reader)->format();
  options.batch = args.batch;
  options.idle = args.idle == "model" ? pipeline::Idle::kModel : pipeline::Idle::kPassthrough;
  options.pixels = PixelFormat::kI420;
  auto sink = FrameSink::Create(args, options, **avatar);
  if (!sink.ok()) return Fail(kExitOutput, sink.status());
  auto session = (*place)->engine->Open(*avatar, options);
  if (!session.ok()) return Fail(kExitUsage, session.status());

  Progress progress(args.json);
  Status fed;
  std::thread feeder([&] {
    fed = FeedLoop(speech, args.frames, **session);
    if (!fed.ok()) (*session)->Cancel(fed);
  });
  double warm_s = 0;
  const Status status = DrainBench(**session, **sink, progress, args, &warm_s);
  const double seconds = progress.seconds();
  (*session)->Cancel(Status(Code::kCancelled, "the bench ended"));
  feeder.join();
  if (!status.ok()) return Fail(kExitFailure, status);
  if (Interrupted()) return kExitInterrupted;

  const int64_t frames = (*session)->counts().frames;
  const StageTimes& times = (*session)->times();
  const avatar::Manifest& manifest = (*avatar)->avatar->manifest();
  const std::string resolution = fmt::format("{}x{}", manifest.width, manifest.height);
  const std::string used = inference::ProviderName((*avatar)->generator->provider());
  const std::string model = fmt::format("{} {}", avatar::Name(manifest.generator.family),
                                        manifest.generator.mouth.inner_px);
  const double fps = static_cast<double>(frames - args.warm_up) / (seconds - warm_s);
  if (args.json) {
    const nlohmann::ordered_json json = {
        {"cpu", CpuName()},
        {"cores", CoreCount()},
        {"threads", (*place)->engine->workers()},
        {"provider", used},
        {"backend", (*avatar)->backend},
        {"avatar", manifest.name},
        {"model", model},
        {"variant", avatar::Name((*avatar)->generator->variant())},
        {"feature_cache", FeatureCacheJson(*(*avatar)->generator)},
        {"resolution", resolution},
        {"encoder", args.encoder},
        {"frames", frames},
        {"warm_up_frames", args.warm_up},
        {"wall_s", seconds},
        {"fps", fps},
        {"peak_rss_mb", PeakRssMb()},
        {"stages_ms_per_frame", StagesJson(times, frames)},
    };
    fmt::print("{}\n", json.dump(2));
    return kExitOk;
  }
  fmt::print("{}, {} cores, {} workers; {} on {}\n", CpuName(), CoreCount(),
             (*place)->engine->workers(), (*avatar)->backend, used);
  fmt::print("avatar {} ({}, variant {}), {}, encoder {}\n", manifest.name, model,
             avatar::Name((*avatar)->generator->variant()), resolution, args.encoder);
  fmt::print("{}\n", FeatureCacheLine(*(*avatar)->generator));
  const std::string warm =
      args.warm_up > 0 ? fmt::format(" after {} to warm up", args.warm_up) : "";
  fmt::print("{} frames in {:.2f} s{} = {:.1f} frames/s; peak memory {:.0f} MB\n{}",
             frames - args.warm_up, seconds - warm_s, warm, fps, PeakRssMb(),
             StageTable(times, frames));
  return kExitOk;
}

}  // namespace

void AddBench(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<BenchArgs>();
  CLI::App* command =
      app.add_subcommand("bench", "Throughput from audio to encoded frames, stage by stage");
  command->add_option("-a,--avatar", args->avatar, "Avatar: a name, a folder or a .zip")
      ->capture_default_str();
  command->add_option("--audio", args->audio,
                      "Speech to repeat (default: the avatar's speech.wav, else the demo's)");
  command->add_option("--frames", args->frames, "How many frames")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->capture_default_str();
  command
      ->add_option("--warm-up", args->warm_up,
                   "So many first frames do not count for frames/s: an avatar's loop seen once")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->capture_default_str();
  command->add_option("--encoder", args->encoder, "none, jpeg or h264")
      ->check(CLI::IsMember({"none", "jpeg", "h264"}))
      ->capture_default_str();
  command->add_option("--quality", args->quality, "JPEG quality")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_option("--threads", args->threads, "Worker threads; 0 is one a core")
      ->capture_default_str();
  command->add_option("--batch", args->batch, "Frames a worker draws at a time, 1 to 32")
      ->capture_default_str();
  command->add_option("--idle", args->idle, "In silence: passthrough, or model (every frame drawn)")
      ->check(CLI::IsMember({"passthrough", "model"}))
      ->capture_default_str();
  command->add_option("--provider", args->provider, "What runs the networks: cpu or cuda")
      ->capture_default_str();
  args->features.AddTo(*command);
  command->add_flag("--json", args->json, "Print JSON");
  command->callback([args, &exit_code] { exit_code = RunBench(*args); });
}

}  // namespace lipcast::cli
