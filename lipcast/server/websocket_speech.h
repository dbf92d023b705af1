#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>

#include "lipcast/server/speech_host.h"

namespace lipcast::server {

struct WebSocketOptions {
  int jpeg_quality = 75;
  size_t message_bytes = size_t{100} << 20;
};

/// Speak over a WebSocket that `request` asks for: each message is a SpeakRequest, as protobuf in a
/// binary frame or as its JSON in a text frame; each answer a SpeakResponse in a binary frame. The
/// end is a close frame: 1000, or 1008 with the status and its message.
/// Browsers: an Origin that is not the Host is refused with 403.
/// Runs on the stream's executor, and owns itself until the socket is closed.
void SpeakOverWebSocket(boost::beast::tcp_stream stream,
                        boost::beast::http::request<boost::beast::http::empty_body> request,
                        SpeechHost& host, const WebSocketOptions& options);

/// Whether a page of `origin` may connect to `host` (both header values; no origin: no browser).
bool OriginAllowed(std::string_view origin, std::string_view host);

}  // namespace lipcast::server
