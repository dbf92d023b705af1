#include "lipcast/avatar/zip_files.h"

#include <fmt/format.h>
#include <zip.h>

#include <map>
#include <mutex>

#include "lipcast/avatar/manifest.h"
#include "lipcast/avatar/package_path.h"

namespace lipcast::avatar {
namespace {

struct ZipCloser {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct ZipFileCloser {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using ZipHandle = std::unique_ptr<zip_t, ZipCloser>;

struct ZipEntry {
  zip_uint64_t index = 0;
  int64_t bytes = 0;
};
using ZipEntries = std::map<std::string, ZipEntry, std::less<>>;

class ZipFiles final : public PackageFiles {
 public:
  ZipFiles(ZipHandle archive, ZipEntries entries)
      : archive_(std::move(archive)), entries_(std::move(entries)) {}

  Result<int64_t> SizeBytes(std::string_view name) const override {
    LC_ASSIGN_OR_RETURN(const ZipEntry entry, Find(name));
    return entry.bytes;
  }

  Result<FileSource> Source(std::string_view name) const override {
    LC_ASSIGN_OR_RETURN(SharedBytes bytes, Read(name));
    return FileSource{{}, std::move(bytes)};
  }

 protected:
  Status Stream(std::string_view name, const Sink& sink) const override {
    LC_ASSIGN_OR_RETURN(const ZipEntry entry, Find(name));
    const std::scoped_lock lock(mu_);
    const std::unique_ptr<zip_file_t, ZipFileCloser> file(
        zip_fopen_index(archive_.get(), entry.index, 0));
    if (file == nullptr) return Broken(name, zip_strerror(archive_.get()));
    std::vector<uint8_t> piece(size_t{256} << 10);
    int64_t done = 0;
    for (;;) {
      const zip_int64_t count = zip_fread(file.get(), piece.data(), piece.size());
      if (count < 0) return Broken(name, zip_file_strerror(file.get()));
      if (count == 0) break;
      done += count;
      if (done > entry.bytes) break;
      sink({piece.data(), static_cast<size_t>(count)});
    }
    if (done == entry.bytes) return Status();
    return Broken(name, fmt::format("{} {} bytes, its header says {}",
                                    done > entry.bytes ? "unpacks to more than" : "unpacks to",
                                    std::min(done, entry.bytes), entry.bytes));
  }

 private:
  static Status Broken(std::string_view name, std::string_view reason) {
    return Status(Code::kDataLoss,
                  fmt::format("{}: broken in the .zip: {}", ShownText(name, 200), reason));
  }
  Result<ZipEntry> Find(std::string_view name) const {
    LC_RETURN_IF_ERROR(CheckPackagePath(name));
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
      return Status(Code::kNotFound, ShownText(name, 200) + ": no such file in the package");
    }
    return found->second;
  }

  mutable std::mutex mu_;
  const ZipHandle archive_;  // guarded by mu_: libzip is not thread-safe
  const ZipEntries entries_;
};

Status RefuseEntry(std::string_view name, std::string_view reason) {
  return Status(Code::kInvalidArgument,
                fmt::format(".zip entry '{}' {}", ShownText(name, 80), reason));
}

bool IsLink(zip_t* archive, zip_uint64_t index) {
  constexpr zip_uint32_t kTypeMask = 0170000, kLinkType = 0120000;
  zip_uint8_t system = 0;
  zip_uint32_t attributes = 0;
  return zip_file_get_external_attributes(archive, index, 0, &system, &attributes) == 0 &&
         system == ZIP_OPSYS_UNIX && ((attributes >> 16) & kTypeMask) == kLinkType;
}

Result<ZipEntries> ListEntries(zip_t* archive) {
  const zip_int64_t count = zip_get_num_entries(archive, 0);
  if (count > kMaxZipEntries) {
    return Status(Code::kResourceExhausted,
                  fmt::format(".zip has {} entries: want at most {}", count, kMaxZipEntries));
  }
  ZipEntries entries;
  int64_t total_bytes = 0;
  for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(count); ++i) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat_index(archive, i, 0, &stat) != 0) {
      return RefuseEntry(std::to_string(i), zip_strerror(archive));
    }
    if ((stat.valid & ZIP_STAT_NAME) == 0 || (stat.valid & ZIP_STAT_SIZE) == 0) {
      return RefuseEntry(std::to_string(i), "has no name or no size");
    }
    const std::string name = stat.name;
    if (name.ends_with('/')) {
      LC_RETURN_IF_ERROR(CheckPackagePath(name.substr(0, name.size() - 1)).Prefixed(".zip entry"));
      continue;
    }
    LC_RETURN_IF_ERROR(CheckPackagePath(name).Prefixed(".zip entry"));
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE) {
      return RefuseEntry(name, "is encrypted: want a plain archive");
    }
    if (IsLink(archive, i)) return RefuseEntry(name, "is a symbolic link: want the file itself");
    if (stat.size > static_cast<zip_uint64_t>(kMaxZipFileBytes)) {
      return Status(Code::kResourceExhausted,
                    fmt::format(".zip entry '{}' unpacks to {} bytes: want at most {}",
                                ShownText(name, 80), stat.size, kMaxZipFileBytes));
    }
    total_bytes += static_cast<int64_t>(stat.size);
    if (total_bytes > kMaxZipTotalBytes) {
      return Status(
          Code::kResourceExhausted,
          fmt::format(".zip unpacks to over {} bytes: want at most that", kMaxZipTotalBytes));
    }
    if (!entries.emplace(name, ZipEntry{i, static_cast<int64_t>(stat.size)}).second) {
      return RefuseEntry(name, "is there twice: want it once");
    }
  }
  return entries;
}

/// Many tools pack the folder itself: then its files are taken from the only top folder that has a
/// manifest, and what stands beside it is not part of the package.
ZipEntries WithoutTopFolder(ZipEntries entries) {
  if (entries.contains(kManifestName)) return entries;
  std::string top;
  for (const auto& [name, entry] : entries) {
    const size_t slash = name.find('/');
    if (slash == std::string::npos || name.substr(slash + 1) != kManifestName) continue;
    if (!top.empty()) return entries;
    top = name.substr(0, slash + 1);
  }
  if (top.empty()) return entries;
  ZipEntries inside;
  for (const auto& [name, entry] : entries) {
    if (name.starts_with(top)) inside.emplace(name.substr(top.size()), entry);
  }
  return inside;
}

}  // namespace

Result<std::unique_ptr<PackageFiles>> OpenZipFiles(const std::filesystem::path& path) {
  int code = 0;
  ZipHandle archive(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (archive == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    return Status(Code::kInvalidArgument,
                  fmt::format("cannot be read as .zip ({}): want a folder or a .zip file", reason));
  }
  LC_ASSIGN_OR_RETURN(ZipEntries entries, ListEntries(archive.get()));
  return std::unique_ptr<PackageFiles>(
      std::make_unique<ZipFiles>(std::move(archive), WithoutTopFolder(std::move(entries))));
}

}  // namespace lipcast::avatar
