#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace lipcast::pipeline {

/// The last bytes of a stream, addressed by their position since its start.
/// Memory: fixed at construction. Thread: the owner's lock.
class ByteRing {
 public:
  explicit ByteRing(size_t capacity) : bytes_(capacity) {}

  int64_t begin() const { return begin_; }  ///< position of the oldest byte held
  int64_t end() const { return end_; }      ///< position the next byte gets
  size_t room() const { return bytes_.size() - static_cast<size_t>(end_ - begin_); }

  void Append(std::span<const std::byte> data) {  ///< needs room() >= data.size()
    ForEachPiece(end_, data.size(), [&](size_t at, size_t offset, size_t count) {
      std::memcpy(bytes_.data() + at, data.data() + offset, count);
    });
    end_ += static_cast<int64_t>(data.size());
  }
  void Fill(std::byte value, size_t count) {  ///< appends it `count` times; needs room() >= count
    ForEachPiece(end_, count, [&](size_t at, size_t, size_t size) {
      std::memset(bytes_.data() + at, std::to_integer<int>(value), size);
    });
    end_ += static_cast<int64_t>(count);
  }
  /// Copies [position, position + out.size()), which must be held.
  void Read(int64_t position, std::span<std::byte> out) const {
    ForEachPiece(position, out.size(), [&](size_t at, size_t offset, size_t count) {
      std::memcpy(out.data() + offset, bytes_.data() + at, count);
    });
  }
  void DropBefore(int64_t position) { begin_ = std::clamp(position, begin_, end_); }
  /// Takes back the newest bytes, from `position` on.
  void DropAfter(int64_t position) { end_ = std::clamp(position, begin_, end_); }
  void ResetAt(int64_t position) { begin_ = end_ = position; }

 private:
  template <typename Copy>
  void ForEachPiece(int64_t position, size_t size, const Copy& copy) const {
    for (size_t done = 0; done < size;) {
      const size_t at = static_cast<size_t>(position + static_cast<int64_t>(done)) % bytes_.size();
      const size_t count = std::min(size - done, bytes_.size() - at);
      copy(at, done, count);
      done += count;
    }
  }

  std::vector<std::byte> bytes_;
  int64_t begin_ = 0, end_ = 0;
};

}  // namespace lipcast::pipeline
