#include "lipcast/cli/render.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lipcast/audio/audio_reader.h"
#include "lipcast/audio/raw_reader.h"
#include "lipcast/cli/failure.h"
#include "lipcast/cli/feature_flags.h"
#include "lipcast/cli/interrupt.h"
#include "lipcast/cli/npy_writer.h"
#include "lipcast/cli/progress.h"
#include "lipcast/cli/report.h"
#include "lipcast/cli/workplace.h"
#include "lipcast/media/libav_audio_reader.h"
#include "lipcast/media/open_sink.h"
#include "lipcast/pipeline/render_to_sink.h"

namespace lipcast::cli {
namespace {

struct RenderArgs {
  std::string avatar = "demo";
  std::string audio;
  std::string output;
  std::string pixels;
  std::string fps, size;
  int crf = 20, quality = 90, threads = 0, batch = 1;
  int64_t start_frame = 0;
  std::string idle = "passthrough", edges = "silence";
  double silence_dbfs = -52.0;
  bool json = false, overwrite = false, quiet = false;
  std::string dump, frame_hashes;
  std::string provider = "cpu", policy = "require";
  int rate = 16000, channels = 1;
  std::string format = "s16";
  int frame_memory_mb = 512;
  FeatureFlags features;
};

/// The three arrays of --dump, each only if it was asked for.
struct Dump {
  std::unique_ptr<NpyWriter> mel, windows, features;
  pipeline::FeedTap tap;

  static Result<std::unique_ptr<Dump>> Create(const std::string& spec, bool overwrite,
                                              const generator::AudioContext& context) {
    auto dump = std::make_unique<Dump>();
    for (size_t begin = 0; begin < spec.size();) {
      const size_t end = std::min(spec.find(',', begin), spec.size());
      const std::string item = spec.substr(begin, end - begin);
      begin = end + 1;
      const size_t equals = item.find('=');
      const std::string key = item.substr(0, equals);
      const std::string path = equals == std::string::npos ? "" : item.substr(equals + 1);
      if (path.empty() || (key != "mel" && key != "windows" && key != "features")) {
        return Status(Code::kInvalidArgument,
                      "--dump '" + item + "': want mel=F.npy, windows=F.npy or features=F.npy");
      }
      if (key == "mel" && context.window_of != generator::WindowOf::kMel) {
        return Status(Code::kInvalidArgument,
                      "--dump mel: this avatar's model hears samples, there is no mel");
      }
      if (key == "mel") {
        LC_ASSIGN_OR_RETURN(dump->mel, NpyWriter::Create(path, {context.mel_bands}, overwrite));
        dump->tap.mel = [d = dump.get()](std::span<const float> v) { d->mel->Append(v); };
      } else if (key == "windows") {
        const bool mel = context.window_of == generator::WindowOf::kMel;
        const std::vector<int64_t> shape =
            mel ? std::vector<int64_t>{context.mel_bands, context.window_frames}
                : std::vector<int64_t>{context.window_samples};
        LC_ASSIGN_OR_RETURN(dump->windows, NpyWriter::Create(path, shape, overwrite));
        dump->tap.window = [d = dump.get()](std::span<const float> v) { d->windows->Append(v); };
      } else {
        LC_ASSIGN_OR_RETURN(dump->features,
                            NpyWriter::Create(path, {context.feature_floats}, overwrite));
        dump->tap.features = [d = dump.get()](std::span<const float> v) { d->features->Append(v); };
      }
    }
    return dump;
  }
  Status Finish() {
    for (auto* writer : {&mel, &windows, &features}) {
      if (*writer) LC_RETURN_IF_ERROR((*writer)->Finish());
    }
    return {};
  }
};

/// "index sha256" of each frame's pixels, for comparing runs.
class HashWriter {
 public:
  explicit HashWriter(const std::string& path) : out_(path) {}
  bool ok() const { return out_.good(); }
  bool Finish() { return out_.flush().good(); }
  void Write(int64_t index, const PictureView& picture) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    // A session's pictures are packed: one block from the first plane on.
    EVP_Digest(picture.plane[0], PictureBytes(picture.format, picture.width, picture.height),
               digest, &size, EVP_sha256(), nullptr);
    out_ << index << ' ';
    for (unsigned int i = 0; i < size; ++i) out_ << fmt::format("{:02x}", digest[i]);
    out_ << '\n';
  }

 private:
  std::ofstream out_;
};

Result<std::unique_ptr<audio::AudioReader>> OpenInput(const RenderArgs& args) {
  if (args.audio != "-") return audio::OpenAudio(args.audio, media::OpenLibavAudio);
  audio::AudioFormat format;
  format.rate_hz = args.rate;
  format.channels = args.channels;
  LC_ASSIGN_OR_RETURN(format.type, audio::ParseSampleType(args.format));
  LC_RETURN_IF_ERROR(format.Validate());
  return audio::MakeRawReader(0, format);
}

Status ParseSize(const std::string& text, pipeline::SessionOptions* options) {
  int width = 0, height = 0;
  char end = 0;
  if (std::sscanf(text.c_str(), "%dx%d%c", &width, &height, &end) != 2) {
    return Status(Code::kInvalidArgument,
                  "--size '" + text + "': want WIDTHxHEIGHT, e.g. 1280x720");
  }
  options->width = width;
  options->height = height;
  return {};
}

Result<pipeline::SessionOptions> MakeSessionOptions(const RenderArgs& args) {
  pipeline::SessionOptions options;
  if (!args.fps.empty()) {
    LC_ASSIGN_OR_RETURN(options.fps, ParseFrameRate(args.fps));
  }
  if (!args.size.empty()) LC_RETURN_IF_ERROR(ParseSize(args.size, &options));
  options.start_frame = args.start_frame;
  options.batch = args.batch;
  options.silence_dbfs = args.silence_dbfs;
  options.idle = args.idle == "model" ? pipeline::Idle::kModel : pipeline::Idle::kPassthrough;
  options.edges =
      args.edges == "reference" ? pipeline::Edges::kReference : pipeline::Edges::kSilence;
  return options;
}

class Render {
 public:
  explicit Render(const RenderArgs& args) : args_(args) {}
  int Run();

 private:
  void PrintText() const;
  void PrintJson() const;

  const RenderArgs& args_;
  std::shared_ptr<const pipeline::LoadedAvatar> avatar_;
  std::unique_ptr<pipeline::Session> session_;
  std::unique_ptr<media::VideoSink> sink_;
  pipeline::RenderOutcome result_;
};

int Render::Run() {
  auto options = MakeSessionOptions(args_);
  if (!options.ok()) return Fail(kExitUsage, options.status());
  auto provider = inference::ParseProvider(args_.provider);
  if (!provider.ok()) return Fail(kExitUsage, provider.status());
  auto features = args_.features.Options();
  if (!features.ok()) return Fail(kExitUsage, features.status());

  auto reader = OpenInput(args_);
  if (!reader.ok()) return Fail(InputExit(reader.status()), reader.status());
  options->format = (*reader)->format();

  pipeline::EngineOptions engine_options;
  engine_options.workers = args_.threads;
  engine_options.avatar.networks_when_read = true;
  engine_options.avatar.frame_budget_bytes = int64_t{args_.frame_memory_mb} << 20;
  engine_options.features = *features;
  engine_options.variant = args_.features.Variant();
  engine_options.inference.provider = *provider;
  engine_options.inference.policy = args_.policy == "prefer" ? inference::ProviderPolicy::kPrefer
                                                             : inference::ProviderPolicy::kRequire;
  auto place = Workplace::Create(engine_options);
  if (!place.ok()) return Fail(InputExit(place.status()), place.status());
  auto avatar = (*place)->LoadAvatar(args_.avatar);
  if (!avatar.ok()) return Fail(InputExit(avatar.status()), avatar.status());
  avatar_ = *std::move(avatar);

  media::SinkOptions sink_options = pipeline::SinkOptionsFor(*options, *avatar_, **reader);
  sink_options.crf = args_.crf;
  sink_options.jpeg_quality = args_.quality;
  sink_options.threads = (*place)->engine->workers();
  sink_options.overwrite = args_.overwrite;
  if (args_.output != "-") EndingAtOnceLeavesAFile();
  auto sink = media::OpenSink(args_.output, args_.pixels, sink_options);
  if (!sink.ok()) return FailOutput(sink.status());
  sink_ = *std::move(sink);
  options->pixels = sink_->wanted_format();

  auto dump = Dump::Create(args_.dump, args_.overwrite, avatar_->generator->context());
  if (!dump.ok()) return FailOutput(dump.status());
  if (!args_.dump.empty()) options->tap = &(*dump)->tap;
  std::optional<HashWriter> hashes;
  if (!args_.frame_hashes.empty()) {
    std::error_code error;
    if (!args_.overwrite && std::filesystem::is_regular_file(args_.frame_hashes, error)) {
      return Fail(kExitOutput, "'" + args_.frame_hashes + "' exists; --overwrite replaces it");
    }
    hashes.emplace(args_.frame_hashes);
    if (!hashes->ok()) return Fail(kExitOutput, "'" + args_.frame_hashes + "': cannot be written");
  }

  auto session = (*place)->engine->Open(avatar_, *options);
  if (!session.ok()) return Fail(kExitUsage, session.status());
  session_ = *std::move(session);
  Progress progress(args_.quiet || args_.json);
  pipeline::RenderTask task;
  task.reader = reader->get();
  task.session = session_.get();
  task.sink = sink_.get();
  task.may_read = [from_stdin = args_.audio == "-"] {
    return !Interrupted() && (!from_stdin || WaitReadable(0));
  };
  task.stop_waiting = StopWaiting;
  task.stopped = Interrupted;
  task.on_frame = [&](const pipeline::Frame& frame) {
    if (hashes) hashes->Write(frame.index, frame.picture);
  };
  task.on_progress = [&](int64_t frames, std::optional<int64_t> total) {
    progress.Update(frames, total);
  };
  result_ = pipeline::RenderToSink(task);
  progress.Clear();
  if (!result_.status.ok()) {
    switch (result_.failed) {
      case pipeline::RenderPart::kSink:
        return Fail(kExitOutput, result_.status);
      case pipeline::RenderPart::kSound:
        return Fail(InputExit(result_.status), result_.status);
      case pipeline::RenderPart::kSession:
        return Fail(kExitFailure, result_.status);
    }
  }
  if (hashes && !hashes->Finish()) {
    return Fail(kExitOutput, "'" + args_.frame_hashes + "': writing failed");
  }
  if (options->tap != nullptr) {
    if (Status written = (*dump)->Finish(); !written.ok()) return Fail(kExitOutput, written);
  }
  if (std::string note = FeatureCacheNote(*avatar_->generator); !note.empty()) {
    result_.warnings.push_back(std::move(note));
  }
  if (const auto used = avatar_->generator->provider(); used != *provider) {
    result_.warnings.push_back(
        fmt::format("provider {} cannot be used here: the networks ran on {}", args_.provider,
                    inference::ProviderName(used)));
  }
  args_.json ? PrintJson() : PrintText();
  return result_.stopped ? kExitInterrupted : kExitOk;
}

void Render::PrintText() const {
  if (args_.quiet) return;
  for (const std::string& warning : result_.warnings) {
    std::fprintf(stderr, "note: %s\n", warning.c_str());
  }
  const int64_t frames = result_.counts.frames;
  const double rate = session_->fps().value();
  std::fprintf(
      stderr, "%s%s: %lld frames %dx%d at %s fps (%s of speech), %s, mouth by %s on %s\n",
      result_.stopped ? "interrupted; " : "", args_.output.c_str(), static_cast<long long>(frames),
      session_->width(), session_->height(), session_->fps().ToString().c_str(),
      ClockText(static_cast<double>(frames) / rate).c_str(), result_.sink.encoder.c_str(),
      avatar_->backend.c_str(), inference::ProviderName(avatar_->generator->provider()).c_str());
  const double seconds = std::chrono::duration<double>(result_.wall).count();
  const double fps = static_cast<double>(frames) / seconds;
  std::fprintf(stderr, "%.1f frames/s, %.1f x real time, %lld frames drawn by the model\n%s", fps,
               fps / rate, static_cast<long long>(result_.counts.generated),
               StageTable(session_->times(), frames).c_str());
}

void Render::PrintJson() const {
  const int64_t frames = result_.counts.frames;
  const double seconds = std::chrono::duration<double>(result_.wall).count();
  const nlohmann::json json = {
      {"output", args_.output},
      {"frames", frames},
      {"generated_frames", result_.counts.generated},
      {"not_finite_frames", result_.counts.not_finite_frames},
      {"fps", session_->fps().ToString()},
      {"duration_s", static_cast<double>(frames) / session_->fps().value()},
      {"width", session_->width()},
      {"height", session_->height()},
      {"encoder", result_.sink.encoder},
      {"bytes", result_.sink.bytes},
      {"avatar", avatar_->avatar->manifest().name},
      {"backend", avatar_->backend},
      {"provider", inference::ProviderName(avatar_->generator->provider())},
      {"variant", avatar::Name(avatar_->generator->variant())},
      {"feature_cache", FeatureCacheJson(*avatar_->generator)},
      {"interrupted", result_.stopped},
      {"wall_s", seconds},
      {"frames_per_s", static_cast<double>(frames) / seconds},
      {"warnings", result_.warnings},
      {"stages_ms_per_frame", StagesJson(session_->times(), frames)},
  };
  // With the frames on standard output the report goes beside them.
  std::fprintf(args_.output == "-" ? stderr : stdout, "%s\n", json.dump(2).c_str());
}

}  // namespace

void AddRender(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<RenderArgs>();
  CLI::App* command = app.add_subcommand("render", "Speech in, a video of the avatar speaking out");
  command
      ->add_option("audio", args->audio,
                   "Audio or video file with the speech, or - for raw PCM on standard input")
      ->required();
  command->add_option("-a,--avatar", args->avatar, "Avatar: a name, a folder or a .zip")
      ->capture_default_str();
  command->add_option("-o,--output", args->output,
                      "OUT.mp4, OUT.mkv, OUT.y4m, frames/%06d.png, frames/%06d.jpg, or - for raw "
                      "video on standard output (default: the audio's name with .mp4)");
  command->add_option("--pixels", args->pixels, "With -o -: y4m, bgr or i420 (default y4m)");
  command->add_option("--fps", args->fps,
                      "Frames a second, 1..120, e.g. 30000/1001 (default: the avatar's)");
  command->add_option("--size", args->size, "WIDTHxHEIGHT of the output (default: the avatar's)");
  command->add_option("--crf", args->crf, "H.264 quality, 0 (lossless) to 51 (worst)")
      ->capture_default_str();
  command->add_option("--quality", args->quality, "JPEG quality, 1 to 100")->capture_default_str();
  command->add_option("--threads", args->threads, "Worker threads; 0 is one a core")
      ->capture_default_str();
  command->add_option("--batch", args->batch, "Frames a worker draws at a time, 1 to 32")
      ->capture_default_str();
  command->add_option("--start-frame", args->start_frame, "Avatar frame shown first")
      ->check(CLI::Range(int64_t{0}, (int64_t{1} << 31) - 1))
      ->capture_default_str();
  command
      ->add_option("--idle", args->idle,
                   "In silence: passthrough shows the source picture, model draws it too")
      ->check(CLI::IsMember({"passthrough", "model"}))
      ->capture_default_str();
  command->add_option("--silence-dbfs", args->silence_dbfs, "Below this level a frame is silent")
      ->capture_default_str();
  command
      ->add_option("--edges", args->edges,
                   "At the ends: silence (every frame), or reference (clamped, for parity)")
      ->check(CLI::IsMember({"silence", "reference"}))
      ->capture_default_str();
  command->add_option("--provider", args->provider, "What runs the networks: cpu or cuda")
      ->capture_default_str();
  command
      ->add_option("--provider-policy", args->policy,
                   "If it cannot be used: require fails, prefer takes the CPU and says so")
      ->check(CLI::IsMember({"require", "prefer"}))
      ->capture_default_str();
  command
      ->add_option("--frame-memory-mb", args->frame_memory_mb,
                   "Memory for the avatar's decoded frames")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str();
  args->features.AddTo(*command);
  command->add_option("--rate", args->rate, "With audio -: samples a second")
      ->capture_default_str();
  command->add_option("--channels", args->channels, "With audio -: channels")
      ->capture_default_str();
  command
      ->add_option("--format", args->format,
                   "With audio -: u8, s16, s24, s32, f32, f64, mulaw or alaw")
      ->capture_default_str();
  command->add_option("--dump", args->dump,
                      "What the networks are fed: mel=F.npy,windows=F.npy,features=F.npy");
  command->add_option("--frame-hashes", args->frame_hashes,
                      "A file with the SHA-256 of each frame's pixels");
  command->add_flag("--json", args->json, "Print a JSON report on standard output");
  command->add_flag("--overwrite", args->overwrite, "Replace files that exist");
  command->add_flag("-q,--quiet", args->quiet, "Print nothing but errors");
  command->callback([args, &exit_code] {
    if (args->output.empty()) {
      const std::filesystem::path audio(args->audio == "-" ? "speech" : args->audio);
      args->output = audio.filename().replace_extension(".mp4").string();
    }
    if (args->output == "-" && args->pixels.empty()) args->pixels = "y4m";
    exit_code = Render(*args).Run();
  });
}

}  // namespace lipcast::cli
