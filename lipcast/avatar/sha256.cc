#include "lipcast/avatar/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

namespace lipcast::avatar {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  bool good = context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;

void Sha256::Update(std::span<const uint8_t> bytes) {
  state_->good = state_->good && EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1;
}

Result<std::string> Sha256::HexDigest() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (!state_->good || EVP_DigestFinal_ex(state_->context, digest, &size) != 1) {
    return Status(Code::kInternal, "OpenSSL could not compute a SHA-256");
  }
  state_->good = false;
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

Result<std::string> Sha256Of(std::span<const uint8_t> bytes) {
  Sha256 sum;
  sum.Update(bytes);
  return sum.HexDigest();
}

}  // namespace lipcast::avatar
