#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace lipcast {

/// Buffers of exactly one size, used again and again. A buffer of another size cannot come back:
/// the pool takes only what it gave, and every handle returns by itself.
/// Thread: any. Memory: grows to the most buffers ever out at once; no allocation after that.
class BufferPool {
 public:
  /// A buffer on loan. Movable; returns when destroyed. May outlive the pool object.
  class Buffer {
   public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept = default;
    Buffer& operator=(Buffer&& other) noexcept {
      if (this == &other) return *this;
      Return();
      bytes_ = std::move(other.bytes_);
      core_ = std::move(other.core_);
      return *this;
    }
    ~Buffer() { Return(); }

    uint8_t* data() { return bytes_.get(); }
    const uint8_t* data() const { return bytes_.get(); }
    size_t size() const { return core_ ? core_->size_bytes : 0; }
    std::span<uint8_t> bytes() { return {data(), size()}; }
    explicit operator bool() const { return bytes_ != nullptr; }

   private:
    friend class BufferPool;
    void Return() {
      if (!bytes_) return;
      std::lock_guard lock(core_->mu);
      core_->free.push_back(std::move(bytes_));
      --core_->out;
    }
    struct Core {
      explicit Core(size_t bytes) : size_bytes(bytes) {}
      const size_t size_bytes;
      std::mutex mu;
      std::vector<std::unique_ptr<uint8_t[]>> free;  // guarded by mu
      int64_t out = 0;                               // guarded by mu
      int64_t allocations = 0;                       // guarded by mu
    };
    std::unique_ptr<uint8_t[]> bytes_;
    std::shared_ptr<Core> core_;
  };

  explicit BufferPool(size_t size_bytes) : core_(std::make_shared<Buffer::Core>(size_bytes)) {}

  Buffer Take() {
    Buffer buffer;
    buffer.core_ = core_;
    std::lock_guard lock(core_->mu);
    ++core_->out;
    if (!core_->free.empty()) {
      buffer.bytes_ = std::move(core_->free.back());
      core_->free.pop_back();
    } else {
      ++core_->allocations;
      // Room for every buffer, so that giving one back never allocates.
      core_->free.reserve(static_cast<size_t>(core_->allocations));
      buffer.bytes_ = std::make_unique_for_overwrite<uint8_t[]>(core_->size_bytes);
    }
    return buffer;
  }

  size_t size_bytes() const { return core_->size_bytes; }
  int64_t allocations() const {  ///< how often Take had to allocate
    std::lock_guard lock(core_->mu);
    return core_->allocations;
  }
  int64_t out() const {  ///< buffers on loan now
    std::lock_guard lock(core_->mu);
    return core_->out;
  }

 private:
  std::shared_ptr<Buffer::Core> core_;
};

}  // namespace lipcast
