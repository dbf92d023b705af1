#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "lipcast/base/status.h"

namespace lipcast::avatar {

/// SHA-256 of bytes that arrive in pieces. Thread: one caller at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(std::span<const uint8_t> bytes);
  /// 64 lower-case hex digits of all bytes so far; ends the sum. kInternal when OpenSSL fails.
  Result<std::string> HexDigest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Result<std::string> Sha256Of(std::span<const uint8_t> bytes);

}  // namespace lipcast::avatar
