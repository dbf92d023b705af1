#include "lipcast/server/grpc_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

#include <mutex>
#include <string>
#include <string_view>

namespace lipcast::server {
namespace {

constexpr std::string_view kOpenService = "/grpc.health.v1.Health/";

std::string_view TextOf(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

/// gRPC asks for each call before any of our code hears of it. The client's address is not told.
void CheckCall(void* access, grpc_auth_context*, const grpc_metadata* metadata, size_t count,
               grpc_process_auth_metadata_done_cb done, void* user_data) {
  const grpc_metadata* authorization = nullptr;
  std::string_view path;
  for (size_t i = 0; i < count; ++i) {
    if (TextOf(metadata[i].key) == "authorization") authorization = &metadata[i];
    if (TextOf(metadata[i].key) == ":path") path = TextOf(metadata[i].value);
  }
  Status status;
  if (!path.starts_with(kOpenService)) {
    status = static_cast<AccessControl*>(access)->CheckHeader(
        authorization == nullptr ? std::string_view() : TextOf(authorization->value), "");
  }
  done(user_data, authorization, authorization == nullptr ? 0 : 1, nullptr, 0,
       static_cast<grpc_status_code>(status.code()),
       status.ok() ? nullptr : status.message().c_str());
}

class Credentials final : public grpc::ServerCredentials {
 public:
  Credentials(AccessControl& access, const TlsSource* tls, bool client_certificates) : tls_(tls) {
    if (tls == nullptr) {
      credentials_ = grpc_insecure_server_credentials_create();
    } else {
      credentials_ = grpc_ssl_server_credentials_create_with_options(
          grpc_ssl_server_credentials_create_options_using_config_fetcher(
              client_certificates ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                  : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
              Fetch, this));
    }
    grpc_server_credentials_set_auth_metadata_processor(credentials_,
                                                        {CheckCall, nullptr, &access});
  }
  ~Credentials() override { grpc_server_credentials_release(credentials_); }
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  /// gRPC asks at the start and before each handshake.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto& own = *static_cast<Credentials*>(self);
    const std::lock_guard lock(own.mu_);
    const auto files = own.tls_->Newer(&own.seen_);
    if (!files) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair{files->key.c_str(), files->certificate_chain.c_str()};
    *config = grpc_ssl_server_certificate_config_create(
        // Wanted also where no client is asked for a certificate; then any will do.
        (files->client_ca.empty() ? files->certificate_chain : files->client_ca).c_str(), &pair, 1);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const TlsSource* const tls_;
  grpc_server_credentials* credentials_ = nullptr;
  std::mutex mu_;
  uint64_t seen_ = 0;  // guarded by mu_
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> GuardedCredentials(AccessControl& access,
                                                            const TlsSource* tls,
                                                            bool client_certificates) {
  return std::make_shared<Credentials>(access, tls, client_certificates);
}

}  // namespace lipcast::server
