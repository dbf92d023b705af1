#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lipcast/base/status.h"
#include "lipcast/server/access_control.h"
#include "lipcast/server/server_config.h"

namespace lipcast::server {

/// What TLS shows and asks for, in PEM form.
struct TlsFiles {
  std::string certificate_chain, key;
  std::string client_ca;  ///< empty: clients show nothing
};

/// What the configuration only names.
struct Secrets {
  std::optional<TlsFiles> tls;
  TokenSet tokens;                    ///< empty: nobody is asked
  std::vector<std::string> warnings;  ///< one line each: dates, modes
};

/// Reads and checks the files of listen.tls_* and listen.tokens. An error is one line: which key,
/// which file, and why: missing, no PEM, a key of another certificate.
Result<Secrets> ReadSecrets(const ServerConfig& config);

}  // namespace lipcast::server
