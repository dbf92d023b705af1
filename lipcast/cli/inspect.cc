#include "lipcast/cli/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lipcast/audio/audio_reader.h"
#include "lipcast/audio/mel_stream.h"
#include "lipcast/audio/mono_converter.h"
#include "lipcast/audio/resampler.h"
#include "lipcast/avatar/find_avatar.h"
#include "lipcast/cli/contact_sheet.h"
#include "lipcast/cli/failure.h"
#include "lipcast/cli/mel_picture.h"
#include "lipcast/cli/workplace.h"
#include "lipcast/media/image_codec.h"
#include "lipcast/media/libav_audio_reader.h"
#include "lipcast/media/png_codec.h"

namespace lipcast::cli {
namespace {

using Json = nlohmann::ordered_json;

struct InspectArgs {
  std::string target, picture;
  bool json = false, overwrite = false;
};

constexpr size_t kReadBytes = 64 << 10;
constexpr int kModelRateHz = 16'000;

double Decibel(double amplitude) { return 20.0 * std::log10(std::max(amplitude, 1e-9)); }

Status WritePng(const Picture& picture, const std::string& path, bool overwrite) {
  std::error_code error;
  if (!overwrite && std::filesystem::exists(path, error)) {
    return Status(Code::kAlreadyExists, "'" + path + "' exists; --overwrite replaces it");
  }
  std::vector<uint8_t> png;
  LC_RETURN_IF_ERROR(media::EncodePng(picture.view(), &png));
  const std::string temporary = path + ".part";
  {
    std::ofstream out(temporary, std::ios::binary);
    out.write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
    if (!out.flush()) {
      return Status(Code::kFailedPrecondition, "'" + path + "': cannot be written");
    }
  }
  std::filesystem::rename(temporary, path, error);
  if (error) return Status(Code::kFailedPrecondition, "'" + path + "': " + error.message());
  return {};
}

void Print(const Json& report, bool json) {
  if (json) {
    fmt::print("{}\n", report.dump(2));
    return;
  }
  for (const auto& [key, value] : report.items()) {
    if (value.is_array() && !value.empty()) {
      for (const auto& item : value) {
        fmt::print("{:<16} {}\n", key, item.is_string() ? item.get<std::string>() : item.dump());
      }
    } else if (!value.is_array()) {
      fmt::print("{:<16} {}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
}

/// What one pass over the sound tells.
struct Sound {
  int64_t samples = 0;
  double peak = 0, sum_of_squares = 0;
  int64_t speaking_frames = 0, frames = 0;
  bool opposite_phase = false;
  std::vector<float> mel;  ///< [frames][80]
};

Result<Sound> Listen(audio::AudioReader& reader) {
  const audio::AudioFormat& format = reader.format();
  LC_ASSIGN_OR_RETURN(auto mono, audio::MonoConverter::Create(format));
  LC_ASSIGN_OR_RETURN(auto resampler, audio::Resampler::Create(format.rate_hz, kModelRateHz));
  LC_ASSIGN_OR_RETURN(auto mel, audio::MelStream::Create({}, 4096));
  Sound sound;
  std::vector<std::byte> buffer(kReadBytes);
  std::vector<float> samples, model;
  int64_t taken = 0;
  // Every frame once, out of the windows of 16 that the stream shows.
  const auto take_columns = [&] {
    while (taken < mel->frames_ready() && mel->frames_ready() >= audio::kWindowFrames) {
      const int64_t start = std::max<int64_t>(0, taken - audio::kWindowFrames + 1);
      const audio::MelWindow window = mel->TryWindow(start);
      for (int band = 0; band < window.bands; ++band) {
        sound.mel.push_back(window.at(band, static_cast<int>(taken - start)));
      }
      ++taken;
      mel->DropBefore(taken - audio::kWindowFrames);
    }
  };
  const auto push = [&]() -> Status {
    for (std::span<const float> rest(model); !rest.empty();) {
      const auto count = std::min(rest.size(), static_cast<size_t>(mel->SamplesAccepted()));
      LC_RETURN_IF_ERROR(mel->Push(rest.first(count)));
      rest = rest.subspan(count);
      take_columns();
    }
    return {};
  };
  while (true) {
    LC_ASSIGN_OR_RETURN(const size_t bytes, reader.Read(buffer));
    if (bytes == 0) break;
    samples.clear();
    model.clear();
    mono.Push(std::span(buffer).first(bytes), &samples);
    for (const float sample : samples) {
      sound.peak = std::max(sound.peak, static_cast<double>(std::fabs(sample)));
      sound.sum_of_squares += static_cast<double>(sample) * sample;
    }
    sound.samples += static_cast<int64_t>(samples.size());
    LC_RETURN_IF_ERROR(resampler.Push(samples, &model));
    LC_RETURN_IF_ERROR(push());
  }
  model.clear();
  LC_RETURN_IF_ERROR(resampler.Finish(&model));
  LC_RETURN_IF_ERROR(push());
  LC_RETURN_IF_ERROR(mel->Finish());
  take_columns();
  sound.opposite_phase = mono.opposite_phase();
  return sound;
}

int InspectAudio(const InspectArgs& args) {
  auto reader = audio::OpenAudio(args.target, media::OpenLibavAudio);
  if (!reader.ok()) return Fail(InputExit(reader.status()), reader.status());
  auto sound = Listen(**reader);
  if (!sound.ok()) return Fail(InputExit(sound.status()), sound.status());
  const audio::AudioFormat& format = (*reader)->format();
  const double seconds = static_cast<double>(sound->samples) / format.rate_hz;
  Json report;
  report["file"] = args.target;
  report["kind"] = (*reader)->description();
  report["rate_hz"] = format.rate_hz;
  report["channels"] = format.channels;
  report["sample_type"] = audio::SampleTypeName(format.type);
  report["samples"] = sound->samples;
  report["duration_s"] = seconds;
  report["frames_at_25"] = FramesFor(sound->samples, format.rate_hz, {25, 1});
  report["peak_dbfs"] = Decibel(sound->peak);
  report["rms_dbfs"] = Decibel(
      std::sqrt(sound->sum_of_squares / static_cast<double>(std::max<int64_t>(1, sound->samples))));
  std::vector<std::string> notes = (*reader)->warnings();
  if (sound->opposite_phase) {
    notes.emplace_back("the channels are each other's negative: their mean is silence");
  }
  if (sound->peak >= 1.0) notes.emplace_back("the peak reaches full scale: it may be clipped");
  report["notes"] = notes;
  if (!args.picture.empty()) {
    auto picture = DrawMel(sound->mel, 80);
    if (!picture.ok()) return Fail(kExitInput, picture.status());
    if (Status written = WritePng(*picture, args.picture, args.overwrite); !written.ok()) {
      return Fail(kExitOutput, written);
    }
    report["mel_picture"] = args.picture;
  }
  Print(report, args.json);
  return kExitOk;
}

int InspectAvatar(const InspectArgs& args, const std::filesystem::path& path) {
  auto place = Workplace::Create({});
  if (!place.ok()) return Fail(InputExit(place.status()), place.status());
  auto loaded = (*place)->engine->LoadAvatar(path);
  if (!loaded.ok()) return Fail(InputExit(loaded.status()), loaded.status());
  const avatar::Avatar& avatar = *(*loaded)->avatar;
  const avatar::Manifest& manifest = avatar.manifest();
  const avatar::MouthLayout& mouth = manifest.generator.mouth;
  Json report;
  report["avatar"] = manifest.name;
  report["title"] = manifest.title;
  report["path"] = path.string();
  report["size"] = fmt::format("{}x{}", manifest.width, manifest.height);
  report["fps"] = manifest.fps.ToString();
  report["frames"] = manifest.frame_count;
  report["order"] = std::string(avatar::Name(manifest.order));
  report["frame_files"] = manifest.frames.path;
  report["idle"] = fmt::format("{} frames from {}", manifest.idle.count, manifest.idle.first);
  report["family"] = std::string(avatar::Name(manifest.generator.family));
  report["inner_px"] = mouth.inner_px;
  report["border_px"] = mouth.border_px;
  report["mask"] = fmt::format("columns {}..{}, rows {}..{}", mouth.mask.x0, mouth.mask.x1 - 1,
                               mouth.mask.y0, mouth.mask.y1 - 1);
  report["feather_px"] = mouth.feather_px;
  report["audio_kind"] = std::string(avatar::Name(manifest.audio.kind));
  report["padding"] = std::string(avatar::Name(manifest.audio.padding));
  for (const auto& [name, entry] : manifest.files) {
    report["files"].push_back(
        fmt::format("{} {} bytes sha256 {}", name, entry.bytes, entry.sha256));
  }
  report["provenance"] = manifest.provenance;
  report["licence"] = manifest.licence;
  for (const auto one : {avatar::GeneratorVariant::kFull, avatar::GeneratorVariant::kSplit,
                         avatar::GeneratorVariant::kInt8}) {
    if (manifest.generator.Has(one)) report["variants"].push_back(avatar::Name(one));
  }
  report["variant"] = avatar::Name((*loaded)->generator->variant());
  report["provider"] = inference::ProviderName((*loaded)->generator->provider());
  report["checks"] = "hashes, shapes, counts, boxes and a run of both networks: all pass";
  report["notes"] = avatar.notes();
  if (!args.picture.empty()) {
    auto sheet = DrawContactSheet(avatar);
    if (!sheet.ok()) return Fail(kExitInput, sheet.status());
    if (Status written = WritePng(*sheet, args.picture, args.overwrite); !written.ok()) {
      return Fail(kExitOutput, written);
    }
    report["contact_sheet"] = args.picture;
  }
  Print(report, args.json);
  return kExitOk;
}

int RunInspect(const InspectArgs& args) {
  std::error_code error;
  const std::filesystem::path target(args.target);
  const bool file = std::filesystem::exists(target, error);
  const bool avatar = std::filesystem::is_directory(target, error) || target.extension() == ".zip";
  if (file && !avatar) return InspectAudio(args);
  auto found = avatar::FindAvatar(args.target, AvatarRoots());
  if (found.ok()) return InspectAvatar(args, *found);
  if (target.has_extension() && target.extension() != ".zip") return InspectAudio(args);
  return Fail(InputExit(found.status()), found.status());
}

}  // namespace

void AddInspect(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<InspectArgs>();
  CLI::App* command = app.add_subcommand("inspect", "What an audio file or an avatar holds");
  command->add_option("target", args->target, "Audio file, or avatar: a name, a folder or a .zip")
      ->required();
  command->add_option("-o,--picture", args->picture,
                      "PNG: the mel spectrogram of the audio, or a contact sheet of the avatar");
  command->add_flag("--json", args->json, "Print JSON");
  command->add_flag("--overwrite", args->overwrite, "Replace the PNG if it exists");
  command->callback([args, &exit_code] { exit_code = RunInspect(*args); });
}

}  // namespace lipcast::cli
