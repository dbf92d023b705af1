#include <array>
#include <utility>

#include "lipcast/audio/audio_reader.h"
#include "lipcast/audio/regular_file.h"
#include "lipcast/audio/sndfile_reader.h"
#include "lipcast/audio/wav_reader.h"

namespace lipcast::audio {
namespace {

Result<bool> HoldsWav(const std::filesystem::path& path) {
  LC_ASSIGN_OR_RETURN(const RegularFile file, RegularFile::Open(path));
  std::array<std::byte, 12> head;
  LC_ASSIGN_OR_RETURN(const size_t count, file.ReadAt(0, head));
  return LooksLikeWav(std::span(head).first(count));
}

// A reader further down may leave the path out; the caller must see it, once.
Status WithName(const Status& status, const std::filesystem::path& path) {
  return status.message().find(path.string()) == std::string::npos
             ? status.Prefixed(AudioName(path))
             : status;
}

}  // namespace

Result<std::unique_ptr<AudioReader>> OpenAudio(const std::filesystem::path& path,
                                               const AudioOpener& fallback) {
  LC_ASSIGN_OR_RETURN(const bool is_wav, HoldsWav(path));
  Status first_error;
  if (is_wav) {
    Result<std::unique_ptr<AudioReader>> wav = OpenWav(path);
    // A codec inside WAV is the others' work; a WAV that is broken stays broken.
    if (wav.ok() || wav.status().code() != Code::kUnimplemented) return wav;
    first_error = wav.status();
  }
  Result<std::unique_ptr<AudioReader>> sndfile = OpenSndfile(path);
  if (sndfile.ok()) return sndfile;
  if (first_error.ok()) first_error = sndfile.status();
  if (fallback == nullptr) return first_error;
  Result<std::unique_ptr<AudioReader>> other = fallback(path);
  if (other.ok()) return other;
  // Content that libsndfile does not know at all is better explained by the one that might have.
  const bool unknown = !is_wav && sndfile.status().code() == Code::kUnimplemented;
  return unknown ? WithName(other.status(), path) : first_error;
}

}  // namespace lipcast::audio
