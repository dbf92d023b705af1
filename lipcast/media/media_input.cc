#include "lipcast/media/media_input.h"

#include <algorithm>
#include <cstring>
#include <system_error>

#include "lipcast/media/libav_log.h"

namespace lipcast::media {
namespace {

constexpr int kIoBytes = 64 * 1024;
constexpr char kFormats[] =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,wav,w64,aiff,au,flac,mp3,"
    "aac,ac3,eac3,amr,caf,ape,wv,tta,nut,ivf,gif,apng,yuv4mpegpipe,mxf,h264,hevc";

}  // namespace

Result<std::unique_ptr<MediaInput>> MediaInput::Open(const avatar::FileSource& source) {
  std::unique_ptr<MediaInput> input(new MediaInput);
  input->name_ = "'" + source.path.string() + "'";
  const std::string& name = input->name_;
  input->bytes_ = source.bytes;
  if (!source.bytes) {
    std::error_code error;
    const auto status = std::filesystem::status(source.path, error);
    if (!std::filesystem::exists(status)) return Status(Code::kNotFound, name + ": no such file");
    if (std::filesystem::is_directory(status)) {
      return Status(Code::kInvalidArgument, name + " is a folder: want a media file");
    }
  }
  std::error_code no_size;
  const bool empty =
      source.bytes ? source.bytes->empty() : std::filesystem::file_size(source.path, no_size) == 0;
  if (empty && !no_size) return Status(Code::kInvalidArgument, name + " is empty: 0 bytes");

  ClearLibavLog();
  input->format_ = avformat_alloc_context();
  if (!input->format_) return Status(Code::kResourceExhausted, name + ": no memory");
  if (source.bytes) {
    auto* buffer = static_cast<uint8_t*>(av_malloc(kIoBytes));
    if (!buffer) return Status(Code::kResourceExhausted, name + ": no memory");
    input->io_ =
        avio_alloc_context(buffer, kIoBytes, 0, input.get(), ReadBytes, nullptr, SeekBytes);
    if (!input->io_) {
      av_free(buffer);
      return Status(Code::kResourceExhausted, name + ": no memory");
    }
    input->format_->pb = input->io_;
  }
  AVDictionary* settings = nullptr;
  av_dict_set(&settings, "format_whitelist", kFormats, 0);
  av_dict_set(&settings, "protocol_whitelist", "file", 0);
  const std::string url = source.bytes ? "" : "file:" + source.path.string();
  int error = avformat_open_input(&input->format_, url.c_str(), nullptr, &settings);
  av_dict_free(&settings);
  if (error == AVERROR_INVALIDDATA && FirstLibavError().empty()) {  // no format knows it
    return Status(Code::kInvalidArgument,
                  name +
                      ": no known media format: want sound or video, as WAV, FLAC, MP3, Ogg, "
                      "M4A, MP4, MKV or WebM");
  }
  if (error >= 0) error = avformat_find_stream_info(input->format_, nullptr);
  if (error < 0) return LibavStatus(error, name);
  return input;
}

MediaInput::~MediaInput() {
  if (format_) avformat_close_input(&format_);
  if (io_) {
    av_freep(static_cast<void*>(&io_->buffer));
    avio_context_free(&io_);
  }
}

int MediaInput::ReadBytes(void* self, uint8_t* to, int size) {
  auto* input = static_cast<MediaInput*>(self);
  const size_t left = input->bytes_->size() - input->position_;
  if (left == 0) return AVERROR_EOF;
  const size_t take = std::min(left, static_cast<size_t>(size));
  std::memcpy(to, input->bytes_->data() + input->position_, take);
  input->position_ += take;
  return static_cast<int>(take);
}

int64_t MediaInput::SeekBytes(void* self, int64_t offset, int whence) {
  auto* input = static_cast<MediaInput*>(self);
  const auto size = static_cast<int64_t>(input->bytes_->size());
  if (whence & AVSEEK_SIZE) return size;
  const int base = whence & ~AVSEEK_FORCE;
  if (base == SEEK_CUR) offset += static_cast<int64_t>(input->position_);
  if (base == SEEK_END) offset += size;
  if (offset < 0 || offset > size) return AVERROR(EINVAL);
  input->position_ = static_cast<size_t>(offset);
  return offset;
}

std::string MediaInput::StreamList() const {
  std::string list;
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    const AVCodecParameters* codec = format_->streams[i]->codecpar;
    const char* type = av_get_media_type_string(codec->codec_type);
    list += (list.empty() ? "" : ", ") + std::string(type ? type : "unknown") + " " +
            avcodec_get_name(codec->codec_id);
  }
  return list.empty() ? "no streams" : list;
}

Result<AVStream*> MediaInput::Find(AVMediaType type, const std::string& kind) const {
  const int index = av_find_best_stream(format_, type, -1, -1, nullptr, 0);
  if (index >= 0) return format_->streams[index];
  return Status(Code::kInvalidArgument,
                "no " + kind + " stream in " + name_ + " (found: " + StreamList() + ")");
}

Result<CodecPtr> OpenDecoder(const AVStream* stream, const AVCodec* codec,
                             const std::string& name) {
  if (!codec) codec = avcodec_find_decoder(stream->codecpar->codec_id);
  if (!codec) {
    return Status(Code::kUnimplemented, name + ": this libav cannot decode " +
                                            avcodec_get_name(stream->codecpar->codec_id));
  }
  CodecPtr decoder(avcodec_alloc_context3(codec));
  if (!decoder) return Status(Code::kResourceExhausted, name + ": no memory for a decoder");
  ClearLibavLog();
  int error = avcodec_parameters_to_context(decoder.get(), stream->codecpar);
  decoder->pkt_timebase = stream->time_base;
  decoder->thread_count = 1;
  if (error >= 0) error = avcodec_open2(decoder.get(), codec, nullptr);
  if (error < 0) return LibavStatus(error, name + ": decoder " + codec->name);
  return decoder;
}

}  // namespace lipcast::media
