// libFuzzer: what a WebSocket sends, as protobuf or (from { on) its JSON, crashes nothing,
// and a refusal is one line.

#include <google/protobuf/util/json_util.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "lipcast/server/grpc_messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lipcast::server;
  const auto* bytes = reinterpret_cast<const char*>(data);
  lipcast::v1::SpeakRequest request;
  const bool good = size > 0 && data[0] == '{'
                        ? google::protobuf::util::JsonStringToMessage({bytes, size}, &request).ok()
                        : request.ParseFromArray(bytes, static_cast<int>(size));
  if (!good) return 0;
  const auto options = FromWire(request.open(), 75);
  if (!options.ok() && options.status().message().find('\n') != std::string::npos) std::abort();
  const auto parsed = FromWire(std::move(request));
  if (!parsed.ok() && parsed.status().message().find('\n') != std::string::npos) std::abort();
  return 0;
}
