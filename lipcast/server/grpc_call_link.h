#pragma once

#include <mutex>

namespace lipcast::server {

/// What streams and slow threads hold of a call. gRPC ends the call when it likes, in OnDone; they
/// may still mean it then. Thread: any.
template <typename Call>
class CallLink {
 public:
  explicit CallLink(Call* call) : call_(call) {}

  /// Does `use(call)`, and keeps the call for that long. False: it is over.
  template <typename Do>
  bool Use(Do&& use) {
    const std::lock_guard lock(mu_);
    if (call_ != nullptr) use(*call_);
    return call_ != nullptr;
  }
  void Cut() {
    const std::lock_guard lock(mu_);
    call_ = nullptr;
  }

 private:
  std::mutex mu_;
  Call* call_;  // guarded by mu_
};

}  // namespace lipcast::server
