#include "lipcast/cli/npy_writer.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace lipcast::cli {
namespace {

constexpr size_t kHeaderBytes = 128;  // format 1.0: magic, length, text padded to a multiple of 64

}  // namespace

Result<std::unique_ptr<NpyWriter>> NpyWriter::Create(const std::filesystem::path& path,
                                                     std::vector<int64_t> item_dims,
                                                     bool overwrite) {
  std::error_code error;
  if (!overwrite && std::filesystem::exists(path, error)) {
    return Status(Code::kAlreadyExists, "'" + path.string() + "' exists; --overwrite replaces it");
  }
  std::unique_ptr<NpyWriter> writer(new NpyWriter());
  writer->path_ = path;
  writer->temporary_ = path;
  writer->temporary_ += ".part-" + std::to_string(getpid());
  writer->item_dims_ = std::move(item_dims);
  writer->file_ = std::fopen(writer->temporary_.c_str(), "wb");
  if (writer->file_ == nullptr) {
    return Status(Code::kFailedPrecondition,
                  "'" + path.string() + "': cannot be written: " + std::strerror(errno));
  }
  const std::string header = writer->Header();
  writer->failed_ = std::fwrite(header.data(), 1, header.size(), writer->file_) != header.size();
  return writer;
}

NpyWriter::~NpyWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::error_code error;
  std::filesystem::remove(temporary_, error);
}

std::string NpyWriter::Header() const {
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows_);
  for (const int64_t dim : item_dims_) text += ", " + std::to_string(dim);
  text += item_dims_.empty() ? ",), }" : "), }";
  const size_t text_bytes = kHeaderBytes - 10;
  text.resize(text_bytes - 1, ' ');
  text.push_back('\n');
  std::string header("\x93NUMPY\x01\x00", 8);
  header.push_back(static_cast<char>(text_bytes & 0xFF));
  header.push_back(static_cast<char>(text_bytes >> 8));
  return header + text;
}

void NpyWriter::Append(std::span<const float> row) {
  failed_ = failed_ || std::fwrite(row.data(), sizeof(float), row.size(), file_) != row.size();
  ++rows_;
}

Status NpyWriter::Finish() {
  const std::string header = Header();
  failed_ = failed_ || std::fseek(file_, 0, SEEK_SET) != 0 ||
            std::fwrite(header.data(), 1, header.size(), file_) != header.size();
  failed_ = (std::fclose(std::exchange(file_, nullptr)) != 0) || failed_;
  std::error_code error;
  if (!failed_) std::filesystem::rename(temporary_, path_, error);
  if (!failed_ && !error) return {};
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
  return Status(Code::kDataLoss, "'" + path_.string() + "': writing failed");
}

}  // namespace lipcast::cli
