#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "lipcast/server/access_control.h"
#include "lipcast/server/secrets.h"

namespace lipcast::server {

/// The certificates new connections get. Thread: any.
class TlsSource {
 public:
  void Set(TlsFiles files) {
    const std::lock_guard lock(mu_);
    files_ = std::move(files);
    ++version_;
  }
  /// The files where they differ from what `seen` counts, which then counts these.
  std::optional<TlsFiles> Newer(uint64_t* seen) const {
    const std::lock_guard lock(mu_);
    if (std::exchange(*seen, version_) == version_) return std::nullopt;
    return files_;
  }

 private:
  mutable std::mutex mu_;
  TlsFiles files_;        // guarded by mu_
  uint64_t version_ = 0;  // guarded by mu_
};

/// How one port takes its connections: in the clear, or by TLS 1.2 and above where `tls` is given,
/// with client certificates where there is a CA for them. Every call on it, reflection included,
/// passes `access`; only grpc.health.v1 is open. Both outlive the server,
/// and so must what is returned: gRPC asks it at each handshake, but does not hold it.
/// gRPC's own C++ credentials look at tokens under TLS only; these stand on its C API.
std::shared_ptr<grpc::ServerCredentials> GuardedCredentials(AccessControl& access,
                                                            const TlsSource* tls,
                                                            bool client_certificates);

}  // namespace lipcast::server
