#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lipcast/base/status.h"

namespace lipcast::cli {

/// Writes a float32 array [rows][item...] in NumPy's .npy format, row by row; the row count is put
/// into the header at the end. Under a temporary name until Finish. Thread: one.
class NpyWriter {
 public:
  static Result<std::unique_ptr<NpyWriter>> Create(const std::filesystem::path& path,
                                                   std::vector<int64_t> item_dims, bool overwrite);
  ~NpyWriter();                             ///< without Finish: removes the temporary file
  void Append(std::span<const float> row);  ///< a failure shows in Finish
  Status Finish();

 private:
  NpyWriter() = default;
  std::string Header() const;

  std::filesystem::path path_, temporary_;
  std::vector<int64_t> item_dims_;
  int64_t rows_ = 0;
  std::FILE* file_ = nullptr;
  bool failed_ = false;
};

}  // namespace lipcast::cli
