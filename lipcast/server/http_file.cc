#include "lipcast/server/http_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace lipcast::server {
namespace {

constexpr uint64_t kPieceBytes = 256 << 10;
constexpr size_t kNameBytes = 80, kIdLetters = 8;

/// Sends a part of a file, piece by piece, read on the slow threads.
class FileDownload final : public std::enable_shared_from_this<FileDownload> {
 public:
  FileDownload(std::shared_ptr<const FinishedFile> file, ByteRange range, Executor& slow,
               std::shared_ptr<HttpReply> reply)
      : file_(std::move(file)),
        fd_(::open(file_->path().c_str(), O_RDONLY | O_CLOEXEC)),
        slow_(slow),
        reply_(std::move(reply)),
        at_(range.first),
        left_(range.count) {}
  ~FileDownload() {
    if (fd_ >= 0) ::close(fd_);
  }
  void Begin(HttpAnswer head) {
    HttpReply::Stream stream;
    stream.bytes = left_;
    stream.on_written = [self = shared_from_this()] {
      self->slow_.Post(TimePoint{}, [self](int) { self->Next(); });
    };
    stream.on_gone = [self = shared_from_this()] {};
    reply_->Begin(std::move(head), std::move(stream));
  }

 private:
  void Next() {
    if (left_ == 0) {
      reply_->End();
      return;
    }
    std::string piece(std::min(left_, kPieceBytes), '\0');
    const ssize_t count = ::pread(fd_, piece.data(), piece.size(), static_cast<off_t>(at_));
    if (count <= 0) {  // too few bytes before the end: the client sees that it is broken off
      reply_->End();
      return;
    }
    piece.resize(static_cast<size_t>(count));
    at_ += piece.size();
    left_ -= piece.size();
    reply_->Write(std::move(piece));
  }

  const std::shared_ptr<const FinishedFile> file_;
  const int fd_;
  Executor& slow_;
  const std::shared_ptr<HttpReply> reply_;
  uint64_t at_, left_;
};

std::string HeaderOf(const HttpCall& call, std::string_view name) {
  const auto found = call.headers.find(name);
  return found == call.headers.end() ? "" : found->second;
}

}  // namespace

void SendFile(const HttpFile& file, Executor& slow, const HttpCall& call,
              const std::shared_ptr<HttpReply>& reply) {
  const std::string tag = "\"" + file.id + "\"";
  const std::string if_range = HeaderOf(call, "if-range");
  const bool ranged = if_range.empty() || if_range == tag;
  const ByteRange range = ParseRange(ranged ? HeaderOf(call, "range") : "", file.bytes);
  HttpAnswer head{range.code,
                  file.type,
                  {},
                  {{"Accept-Ranges", "bytes"},
                   {"ETag", tag},
                   {"Content-Disposition", "attachment; filename=\"" + file.name + "\""}}};
  if (range.code == 206) {
    head.headers.emplace_back(
        "Content-Range",
        fmt::format("bytes {}-{}/{}", range.first, range.first + range.count - 1, file.bytes));
  } else if (range.code == 416) {
    HttpAnswer refused =
        FailureAnswer(Status(Code::kOutOfRange,
                             fmt::format("the range is not in the file's {} bytes", file.bytes)),
                      416);
    refused.headers.emplace_back("Content-Range", fmt::format("bytes */{}", file.bytes));
    reply->Send(std::move(refused));
    return;
  }
  std::make_shared<FileDownload>(file.file, range, slow, reply)->Begin(std::move(head));
}

std::string DownloadName(const std::string& avatar, const std::string& id,
                         const std::string& ending) {
  std::string name = avatar.substr(0, kNameBytes);
  std::ranges::replace_if(
      name, [](char c) { return (std::isalnum(static_cast<unsigned char>(c)) == 0) && c != '_'; },
      '-');
  return name + "-" + id.substr(0, kIdLetters) + "." + ending;
}

ByteRange ParseRange(std::string_view header, uint64_t bytes) {
  const ByteRange whole{200, 0, bytes};
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit)) return whole;
  header.remove_prefix(kUnit.size());
  const size_t dash = header.find('-');
  if (dash == std::string_view::npos) return whole;
  const auto number = [](std::string_view text, uint64_t* value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    return error == std::errc() && end == text.data() + text.size();
  };
  const std::string_view from = header.substr(0, dash), to = header.substr(dash + 1);
  uint64_t first = 0, last = 0;
  if (from.empty()) {  // the last so many
    uint64_t count = 0;
    if (!number(to, &count)) return whole;
    if (count == 0 || bytes == 0) return {416, 0, 0};
    count = std::min(count, bytes);
    return {206, bytes - count, count};
  }
  if (!number(from, &first)) return whole;
  if (to.empty()) {
    last = bytes == 0 ? 0 : bytes - 1;
  } else if (!number(to, &last) || last < first) {
    return whole;
  }
  if (first >= bytes) return {416, 0, 0};
  last = std::min(last, bytes - 1);
  return {206, first, last - first + 1};
}

}  // namespace lipcast::server
