#include "lipcast/avatar/package_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include "lipcast/avatar/package_path.h"
#include "lipcast/avatar/sha256.h"
#include "lipcast/avatar/zip_files.h"

namespace lipcast::avatar {
namespace {

namespace fs = std::filesystem;

class FolderFiles final : public PackageFiles {
 public:
  explicit FolderFiles(fs::path root) : root_(std::move(root)) {}

  Result<int64_t> SizeBytes(std::string_view name) const override {
    LC_ASSIGN_OR_RETURN(const fs::path path, Resolve(name));
    std::error_code error;
    const uintmax_t bytes = fs::file_size(path, error);
    if (error) return Status(Code::kDataLoss, Shown(name) + error.message());
    return static_cast<int64_t>(bytes);
  }

  Result<FileSource> Source(std::string_view name) const override {
    LC_ASSIGN_OR_RETURN(fs::path path, Resolve(name));
    return FileSource{std::move(path), nullptr};
  }

 protected:
  Status Stream(std::string_view name, const Sink& sink) const override {
    LC_ASSIGN_OR_RETURN(const fs::path path, Resolve(name));
    LC_ASSIGN_OR_RETURN(const int64_t bytes, SizeBytes(name));
    std::ifstream file(path, std::ios::binary);
    if (!file) return Status(Code::kDataLoss, Shown(name) + std::strerror(errno));
    std::vector<char> piece(size_t{256} << 10);
    int64_t done = 0;
    while (file) {
      file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      const auto count = static_cast<size_t>(file.gcount());
      done += static_cast<int64_t>(count);
      if (done > bytes) break;
      sink({reinterpret_cast<const uint8_t*>(piece.data()), count});
    }
    if (file.bad() || done != bytes) {
      return Status(Code::kDataLoss, fmt::format("{}read {} bytes, want {}: the file changed or the"
                                                 " disk failed",
                                                 Shown(name), done, bytes));
    }
    return Status();
  }

 private:
  static std::string Shown(std::string_view name) { return ShownText(name, 200) + ": "; }

  /// The real place of a regular file under root_.
  Result<fs::path> Resolve(std::string_view name) const {
    LC_RETURN_IF_ERROR(CheckPackagePath(name));
    std::error_code error;
    const fs::path path = fs::canonical(root_ / PathFromUtf8(name), error);
    if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) {
      return Status(Code::kNotFound, Shown(name) + "no such file in the package");
    }
    if (error) return Status(Code::kInvalidArgument, Shown(name) + error.message());
    if (std::mismatch(root_.begin(), root_.end(), path.begin(), path.end()).first != root_.end()) {
      return Status(Code::kInvalidArgument,
                    Shown(name) + "leads out of the package: want a file inside it");
    }
    if (!fs::is_regular_file(path, error)) {
      return Status(Code::kInvalidArgument, Shown(name) + "want a regular file");
    }
    return path;
  }

  fs::path root_;  // canonical
};

}  // namespace

Result<SharedBytes> PackageFiles::Read(std::string_view name, int64_t max_bytes) const {
  LC_ASSIGN_OR_RETURN(const int64_t bytes, SizeBytes(name));
  if (bytes > max_bytes) {
    return Status(Code::kResourceExhausted, fmt::format("{} has {} bytes: want at most {}",
                                                        ShownText(name, 200), bytes, max_bytes));
  }
  // A size that lies must not cost memory: reserve little, grow with what really comes.
  std::vector<uint8_t> data;
  data.reserve(static_cast<size_t>(std::min(bytes, int64_t{16} << 20)));
  LC_RETURN_IF_ERROR(Stream(name, [&data](std::span<const uint8_t> piece) {
    data.insert(data.end(), piece.begin(), piece.end());
  }));
  if (static_cast<int64_t>(data.size()) != bytes) {
    return Status(Code::kDataLoss, fmt::format("{}: read {} bytes, want {}: the file changed",
                                               ShownText(name, 200), data.size(), bytes));
  }
  data.shrink_to_fit();
  return SharedBytes(std::make_shared<const std::vector<uint8_t>>(std::move(data)));
}

Result<std::string> PackageFiles::Sha256(std::string_view name) const {
  avatar::Sha256 sum;
  LC_RETURN_IF_ERROR(Stream(name, [&sum](std::span<const uint8_t> piece) { sum.Update(piece); }));
  return sum.HexDigest();
}

Result<std::unique_ptr<PackageFiles>> PackageFiles::Open(const fs::path& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) {
    return Status(Code::kNotFound, "no such folder or .zip file");
  }
  if (error) return Status(Code::kInvalidArgument, error.message());
  if (fs::is_directory(real, error)) {
    return std::unique_ptr<PackageFiles>(std::make_unique<FolderFiles>(real));
  }
  if (!fs::is_regular_file(real, error)) {
    return Status(Code::kInvalidArgument, "is neither a folder nor a file");
  }
  return OpenZipFiles(real);
}

}  // namespace lipcast::avatar
