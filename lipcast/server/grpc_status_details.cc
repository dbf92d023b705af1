#include "lipcast/server/grpc_status_details.h"

#include <algorithm>

#include "google/rpc/status.pb.h"
#include "lipcast/server/refusal.h"
#include "lipcast/server/retry_hint.h"

namespace lipcast::server {
namespace {

/// Our texts on wrong input begin "field = value: " or "field: "; fields look like a.b_c.
std::string FieldOf(const std::string& text) {
  const size_t end = std::min(text.find(" = "), text.find(": "));
  if (end == std::string::npos || end == 0) return {};
  const std::string field = text.substr(0, end);
  const bool named = std::ranges::all_of(field, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
  return named ? field : std::string();
}

}  // namespace

std::string StatusDetails(const Status& status) {
  if (status.ok()) return {};
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(status.message());
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(refusal::ReasonOf(status)));
  info.set_domain("lipcast");
  details.add_details()->PackFrom(info);
  if (const auto after = RetryAfter(status)) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(after->count());
    details.add_details()->PackFrom(retry);
  }
  if (status.code() == Code::kInvalidArgument) {
    if (const std::string field = FieldOf(status.message()); !field.empty()) {
      google::rpc::BadRequest bad;
      bad.add_field_violations()->set_field(field);
      bad.mutable_field_violations(0)->set_description(status.message());
      details.add_details()->PackFrom(bad);
    }
  }
  return details.SerializeAsString();
}

}  // namespace lipcast::server
