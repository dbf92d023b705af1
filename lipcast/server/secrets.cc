#include "lipcast/server/secrets.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <fstream>
#include <iterator>
#include <memory>

#include "lipcast/avatar/package_path.h"
#include "lipcast/server/http_target.h"

namespace lipcast::server {
namespace {

constexpr size_t kMaxPemBytes = 1 << 20;

template <auto kFree>
struct Freed {
  template <typename T>
  void operator()(T* one) const {
    kFree(one);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

/// One key of the configuration that names a PEM file.
struct PemFile {
  const char* key;
  std::string path;

  Status Refuse(const std::string& why) const {
    ERR_clear_error();
    return Status(Code::kInvalidArgument,
                  std::string(key) + ": " + avatar::ShownText(path) + ": " + why);
  }
  Result<std::string> Read() const {
    std::ifstream in(path, std::ios::binary);
    if (!in) return Refuse("cannot be read");
    std::string text(kMaxPemBytes + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad()) return Refuse("cannot be read");
    text.resize(static_cast<size_t>(in.gcount()));
    if (text.size() > kMaxPemBytes) return Refuse("want at most 1 MiB");
    return text;
  }
};

/// A key under a passphrase is refused, not asked for on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

Bio BioOf(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

/// The first certificate, which has to be one; the others are looked at where they are used.
Result<Certificate> CertificateOf(const PemFile& file, const std::string& pem) {
  Certificate certificate(PEM_read_bio_X509(BioOf(pem).get(), nullptr, NoPassphrase, nullptr));
  if (certificate == nullptr) return file.Refuse("want a certificate in PEM form");
  return certificate;
}

void WarnOfDates(const PemFile& file, const X509* certificate, std::vector<std::string>* warnings) {
  const std::string where = std::string(file.key) + ": " + avatar::ShownText(file.path);
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    warnings->push_back(where + ": has expired");
  } else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    warnings->push_back(where + ": is not valid yet");
  }
}

Result<TlsFiles> ReadTls(const ServerConfig& config, std::vector<std::string>* warnings) {
  const PemFile chain{"listen.tls_certificate", config.tls_certificate};
  const PemFile key{"listen.tls_key", config.tls_key};
  const PemFile ca{"listen.tls_client_ca", config.tls_client_ca};
  TlsFiles files;
  LC_ASSIGN_OR_RETURN(files.certificate_chain, chain.Read());
  LC_ASSIGN_OR_RETURN(const Certificate certificate, CertificateOf(chain, files.certificate_chain));
  WarnOfDates(chain, certificate.get(), warnings);
  LC_ASSIGN_OR_RETURN(files.key, key.Read());
  const Key parsed(PEM_read_bio_PrivateKey(BioOf(files.key).get(), nullptr, NoPassphrase, nullptr));
  if (parsed == nullptr) return key.Refuse("want a private key in PEM form without a passphrase");
  if (X509_check_private_key(certificate.get(), parsed.get()) != 1) {
    return key.Refuse("is not the key of " + avatar::ShownText(config.tls_certificate));
  }
  if (!config.tls_client_ca.empty()) {
    LC_ASSIGN_OR_RETURN(files.client_ca, ca.Read());
    LC_ASSIGN_OR_RETURN(const Certificate root, CertificateOf(ca, files.client_ca));
    WarnOfDates(ca, root.get(), warnings);
  }
  return files;
}

}  // namespace

Result<Secrets> ReadSecrets(const ServerConfig& config) {
  Secrets secrets;
  if (!config.tls_certificate.empty()) {
    LC_ASSIGN_OR_RETURN(secrets.tls, ReadTls(config, &secrets.warnings));
  }
  if (!config.tokens.empty()) {
    bool open_to_others = false;
    LC_ASSIGN_OR_RETURN(secrets.tokens, TokenSet::Read(config.tokens, &open_to_others));
    if (open_to_others) {
      secrets.warnings.push_back("listen.tokens: " + avatar::ShownText(config.tokens) +
                                 ": others may read or write it: want mode 0600");
    }
  }
  if (IsLoopback(config.host)) return secrets;
  if (!secrets.tls && secrets.tokens.size() > 0) {
    secrets.warnings.emplace_back("listen.tokens: cross the network in the clear without TLS");
  }
  if (secrets.tokens.size() == 0 && config.tls_client_ca.empty()) {
    secrets.warnings.push_back("listen.host: " + config.host +
                               ": whoever reaches it may use it: neither listen.tokens nor "
                               "listen.tls_client_ca is set");
  }
  return secrets;
}

}  // namespace lipcast::server
