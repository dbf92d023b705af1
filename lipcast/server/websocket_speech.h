#pragma once

#include <memory>
#include <string>

#include "lipcast/server/http_server.h"
#include "lipcast/server/speech_host.h"

namespace lipcast::server {

struct WebSocketOptions {
  int jpeg_quality = 75;
  size_t message_bytes = size_t{100} << 20;
  std::string peer = {};  ///< the client's address
};

/// Speak over a WebSocket that `request` asks for: each message is a SpeakRequest, as protobuf in a
/// binary frame or as its JSON in a text frame; each answer a SpeakResponse in a binary frame. The
/// end is a close frame: 1000, or 1008 with the status and its message.
/// Runs on the socket's thread, to which `gate` leads, and owns itself until the socket is closed
/// or that thread ends. `host` outlives it.
void SpeakOverWebSocket(HttpSocket socket, UpgradeRequest request, std::shared_ptr<HttpGate> gate,
                        SpeechHost& host, const WebSocketOptions& options);

}  // namespace lipcast::server
