#include "lipcast/server/websocket_speech.h"

#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <latch>
#include <memory>
#include <string>

#include "lipcast/server/test_stand.h"
#include "lipcast/v1/lipcast.pb.h"

namespace lipcast::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using pipeline::Watchdog;

std::unique_ptr<HttpServer> Serve(SpeechHost& host) {
  static const auto uploads = *UploadFolder::Create();  // of all servers here
  HttpServerOptions options;
  options.uploads = uploads.get();
  options.upgrades["/v1/speak"] = [&host](HttpSocket socket, UpgradeRequest request,
                                          std::shared_ptr<HttpGate> gate,
                                          const std::string& /*peer*/) {
    SpeakOverWebSocket(std::move(socket), std::move(request), std::move(gate), host, {});
  };
  auto server = HttpServer::Listen(std::move(options));
  EXPECT_TRUE(server.ok()) << server.status().ToString();
  return *std::move(server);
}

class Client {
 public:
  explicit Client(int port) {
    socket_.next_layer().connect(
        {asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>(port)});
    socket_.handshake("127.0.0.1:" + std::to_string(port), "/v1/speak");
    socket_.binary(true);
  }
  void Open(const std::string& avatar) {
    v1::SpeakRequest request;
    request.mutable_open()->set_avatar(avatar);
    socket_.write(asio::buffer(request.SerializeAsString()));
  }
  /// Nothing where the socket ended.
  std::optional<v1::SpeakResponse> Read() {
    beast::flat_buffer buffer;
    beast::error_code error;
    socket_.read(buffer, error);
    v1::SpeakResponse response;
    if (error || !response.ParseFromArray(buffer.cdata().data(), static_cast<int>(buffer.size()))) {
      return std::nullopt;
    }
    return response;
  }
  void BreakOff() { socket_.next_layer().close(); }

 private:
  asio::io_context io_;
  beast::websocket::stream<asio::ip::tcp::socket> socket_{io_};
};

/// Holds the loads of a stand until it is let go.
struct Held {
  explicit Held(TestStand& stand) {
    stand.on_load_ = [this] {
      begun.count_down();
      go_on.wait();
    };
  }
  std::latch begun{1}, go_on{1};
};

TEST(WebSocketSpeech, AnOpenThatStillLoadsAtTheEndOfTheServerTouchesNothingOfIt) {
  const Watchdog watchdog;
  TestStand stand;
  Held held(stand);
  auto server = Serve(*stand.host_);
  Client client(server->port());
  client.Open("1");
  held.begun.wait();
  server.reset();
  EXPECT_FALSE(client.Read());
  held.go_on.count_down();
  stand.host_.reset();  // the load is over, and its stream is gone
  EXPECT_EQ(stand.admission_.report().sessions, 0);
}

TEST(WebSocketSpeech, AClientThatLeavesWhileItsAvatarLoadsLeavesNoStream) {
  const Watchdog watchdog;
  TestStand stand;
  Held held(stand);
  const auto server = Serve(*stand.host_);
  Client client(server->port());
  client.Open("1");
  held.begun.wait();
  client.BreakOff();
  held.go_on.count_down();
  while (stand.metrics_.count("avatar_loads_total") == 0) std::this_thread::yield();
  Client next(server->port());
  next.Open("1");
  const auto opened = next.Read();
  ASSERT_TRUE(opened && opened->has_opened());
  while (stand.host_->open_streams() > 1) std::this_thread::yield();
}

}  // namespace
}  // namespace lipcast::server
