#include "lipcast/server/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fstream>
#include <latch>
#include <thread>

#include "lipcast/server/prometheus_metrics.h"
#include "lipcast/server/refusal.h"

namespace lipcast::server {
namespace {

namespace asio = boost::asio;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// A client that waits.
class Client {
 public:
  explicit Client(int port) {
    socket_.connect({asio::ip::address_v4::loopback(), static_cast<uint16_t>(port)});
  }
  void Say(const std::string& text) {
    boost::system::error_code ignored;  // the server may be done with us
    asio::write(socket_, asio::buffer(text), ignored);
  }
  std::string Read(size_t bytes) {
    std::string text(bytes, '\0');
    boost::system::error_code error;
    text.resize(asio::read(socket_, asio::buffer(text), error));
    return text;
  }
  /// Until the server closes.
  std::string All() {
    std::string text;
    boost::system::error_code error;
    asio::read(socket_, asio::dynamic_buffer(text), error);
    return text;
  }
  void Leave() { socket_.close(); }

 private:
  asio::io_context io_;
  asio::ip::tcp::socket socket_{io_};
};

std::string Contents(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    HttpServerOptions options;
    options.upload_bytes = 300'000;
    options.uploads = uploads_.get();
    options.metrics = &metrics_;
    options.origins.also = {"https://app.example"};
    HttpRoute upload{
        "POST", "/upload", AnswerAtOnce([](const HttpCall& call) {
          const std::string text = Contents(call.file->path());
          return HttpAnswer{200, "text/plain", std::to_string(text.size()) + text.substr(0, 3)};
        }),
        HttpBody::kFile};
    HttpRoute json{
        "POST",
        "/json/{name}",
        AnswerAtOnce([](const HttpCall& call) {
          return JsonAnswer(call.body + call.path.at("name") + call.target.query.at("x"));
        }),
        HttpBody::kJson,
        {"x"}};
    HttpRoute forgets{"GET", "/forgets", [](const HttpCall&, const auto&) {}};
    HttpRoute throws{"GET", "/throws",
                     [](const HttpCall&, const auto&) { throw std::runtime_error("oh"); }};
    HttpRoute later{
        "GET", "/later", AnswerLater(slow_, [](const HttpCall&) -> Result<HttpAnswer> {
          return HttpAnswer{200, "text/plain", "later", {{"X-A", "b"}, {"X-Bad", "\r\n"}}};
        })};
    HttpRoute stream{"GET",
                     "/stream",
                     [this](const HttpCall& call, std::shared_ptr<HttpReply> reply) {
                       HttpReply::Stream way;
                       if (call.target.query.contains("sized")) way.bytes = 6;
                       way.on_gone = [this] { gone_.count_down(); };
                       way.on_written = [this, reply, left = 3]() mutable {
                         if (left-- > 0) {
                           reply->Write("ab");
                         } else if (!endless_) {
                           reply->End();
                         }
                       };
                       reply->Begin({200, "text/plain", "", {}}, std::move(way));
                     },
                     HttpBody::kNone,
                     {"sized"}};
    HttpRoute for_all{"GET", "/for-all", AnswerAtOnce([](const HttpCall& call) {
                        const bool good = call.access.ok();
                        return HttpAnswer{
                            200, "text/plain",
                            good ? "ok" : std::string(refusal::ReasonOf(call.access))};
                      })};
    for_all.any_origin = for_all.tells_access = true;
    EXPECT_TRUE(options.router
                    .Add({std::move(upload), std::move(json), std::move(forgets), std::move(throws),
                          std::move(later), std::move(stream), std::move(for_all)})
                    .ok());
    auto server = HttpServer::Listen(std::move(options));
    EXPECT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
  }

  /// One exchange on a connection of its own.
  std::string Ask(const std::string& head, const std::string& body = "") {
    Client client(server_->port());
    client.Say(head + "\r\nHost: localhost\r\nConnection: close\r\n\r\n" + body);
    return client.All();
  }

  PrometheusMetrics metrics_;
  std::unique_ptr<UploadFolder> uploads_ = *UploadFolder::Create();
  Executor slow_{1};
  std::atomic<bool> endless_ = false;
  std::latch gone_{1};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersAtOnceAndLater) {
  const std::string later = Ask("GET /later HTTP/1.1");
  EXPECT_THAT(later, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(later, HasSubstr("X-A: b\r\n"));
  EXPECT_THAT(later, Not(HasSubstr("X-Bad")));
  EXPECT_THAT(later, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(later, EndsWith("\r\n\r\nlater"));
  EXPECT_THAT(Ask("HEAD /later HTTP/1.1"), HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(Ask("HEAD /later HTTP/1.1"), EndsWith("\r\n\r\n"));
  EXPECT_THAT(metrics_.Render(), HasSubstr("requests_total{code=\"200\",interface=\"http\","
                                           "method=\"GET /later\"} 3"));
}

TEST_F(HttpServerTest, KeepsAConnectionForTheNextRequestAlsoOneThatIsThereAlready) {
  Client client(server_->port());
  const std::string request = "GET /later HTTP/1.1\r\nHost: x\r\n\r\n";
  client.Say(request + request + "GET /later HTTP/1.1\r\nConnection: close\r\n\r\n");
  const std::string all = client.All();
  size_t answers = 0;
  for (size_t at = 0; (at = all.find("\r\n\r\nlater", at)) != std::string::npos; ++at) ++answers;
  EXPECT_EQ(answers, 3U);
}

TEST_F(HttpServerTest, SaysWhatIsWrongInJson) {
  const std::pair<const char*, const char*> cases[] = {
      {"GET /nowhere HTTP/1.1", "404 Not Found"},
      {"POST /later HTTP/1.1", "405 Method Not Allowed"},
      {"GET /later?x=1 HTTP/1.1", "400 Bad Request"},
      {"GET /../later HTTP/1.1", "400 Bad Request"},
      {"GET /%2e%2e%2fetc HTTP/1.1", "400 Bad Request"},
      {"POST /upload HTTP/1.1", "411 Length Required"},
      {"POST /upload HTTP/1.1\r\nContent-Length: 300001", "413 Payload Too Large"},
      {"POST /json/a?x=1 HTTP/1.1\r\nContent-Length: 2", "415 Unsupported Media Type"},
      {"POST /json/a?x=1 HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 70000",
       "413 Payload Too Large"},
      {"GET /later HTTP/1.1\r\nContent-Length: 3", "413 Payload Too Large"},
      {"GET /later HTTP/1.1\r\nOrigin: https://evil.example", "403 Forbidden"},
      {"GET /later HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", "400 Bad Request"},
      {"GET /forgets HTTP/1.1", "500 Internal Server Error"},
      {"\x16\x03\x01 garbage", "400 Bad Request"}};
  for (const auto& [head, code] : cases) {
    const std::string answer = Ask(head);
    EXPECT_THAT(answer, StartsWith(std::string("HTTP/1.1 ") + code)) << head;
    EXPECT_THAT(answer, HasSubstr("\r\n\r\n{\"code\":\"")) << head;
  }
  EXPECT_THAT(Ask("PUT /later HTTP/1.1"), HasSubstr("Allow: GET, HEAD, OPTIONS\r\n"));
  EXPECT_THAT(Ask("GET /later HTTP/1.1\r\nX: " + std::string(9000, 'x')),
              StartsWith("HTTP/1.1 431 "));
}

TEST_F(HttpServerTest, AHandlerThatThrowsIsAnswered500AndCounted) {
  EXPECT_THAT(Ask("GET /throws HTTP/1.1"), StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(Ask("GET /later HTTP/1.1"), EndsWith("later"));
  EXPECT_THAT(metrics_.Render(), HasSubstr("escaped_exceptions_total 1"));
}

TEST_F(HttpServerTest, ABodyGoesIntoAFileOrIntoMemory) {
  const std::string body(300'000, 'y');
  EXPECT_THAT(Ask("POST /upload HTTP/1.1\r\nContent-Length: 300000", body), EndsWith("300000yyy"));
  EXPECT_THAT(Ask("POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked",
                  "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"),
              EndsWith("7abc"));
  EXPECT_THAT(Ask("POST /json/n?x=q HTTP/1.1\r\nContent-Type: application/json\r\n"
                  "Content-Length: 2",
                  "{}"),
              EndsWith("{}nq"));
  EXPECT_THAT(Ask("POST /json/n?x=q HTTP/1.1"), EndsWith("\r\n\r\nnq"));
}

TEST_F(HttpServerTest, AChunkedBodyIsStoppedAtTheLimit) {
  std::string chunks;
  for (int i = 0; i < 40; ++i) chunks += "2000\r\n" + std::string(0x2000, 'z') + "\r\n";
  EXPECT_THAT(Ask("POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked", chunks + "0\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpServerTest, AClientThatAsksFirstIsToldToGoOn) {
  Client client(server_->port());
  client.Say(
      "POST /upload HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
      "Connection: close\r\n\r\n");
  EXPECT_EQ(client.Read(25), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Say("abc");
  EXPECT_THAT(client.All(), EndsWith("3abc"));
}

TEST_F(HttpServerTest, AStreamIsChunkedOrOfItsLength) {
  EXPECT_THAT(Ask("GET /stream HTTP/1.1"),
              EndsWith("\r\n\r\n2\r\nab\r\n2\r\nab\r\n2\r\nab\r\n0\r\n\r\n"));
  EXPECT_THAT(Ask("GET /stream?sized HTTP/1.1"), EndsWith("\r\n\r\nababab"));
  EXPECT_THAT(Ask("GET /stream HTTP/1.0"), EndsWith("\r\n\r\nababab"));
}

TEST_F(HttpServerTest, AStreamHearsOfAClientThatLeaves) {
  endless_ = true;
  Client client(server_->port());
  client.Say("GET /stream HTTP/1.1\r\n\r\n");
  EXPECT_THAT(client.Read(20), StartsWith("HTTP/1.1 200 OK"));
  client.Leave();
  gone_.wait();
}

TEST_F(HttpServerTest, AStreamHearsOfTheEndOfTheServer) {
  endless_ = true;
  Client client(server_->port());
  client.Say("GET /stream HTTP/1.1\r\n\r\n");
  EXPECT_THAT(client.Read(20), StartsWith("HTTP/1.1 200 OK"));
  server_.reset();
  gone_.wait();
}

TEST_F(HttpServerTest, PagesOfListedOriginsMayRead) {
  const std::string answer = Ask("GET /later HTTP/1.1\r\nOrigin: https://app.example");
  EXPECT_THAT(answer, HasSubstr("Access-Control-Allow-Origin: https://app.example\r\n"));
  const std::string asked = Ask("OPTIONS /later HTTP/1.1\r\nOrigin: https://app.example");
  EXPECT_THAT(asked, StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(asked, HasSubstr("Access-Control-Allow-Headers: Authorization"));
  EXPECT_THAT(Ask("GET /later HTTP/1.1"), Not(HasSubstr("Access-Control")));
}

TEST_F(HttpServerTest, PagesOfEveryOriginMayReadWhatIsForAllAndAskWhetherTheyMayMore) {
  for (const char* origin : {"https://app.example", "https://evil.example"}) {
    const std::string from = std::string(" HTTP/1.1\r\nOrigin: ") + origin;
    EXPECT_THAT(Ask("GET /for-all" + from), HasSubstr("Access-Control-Allow-Origin: *\r\n"));
    EXPECT_THAT(Ask("OPTIONS /for-all" + from), HasSubstr("Access-Control-Allow-Headers: Auth"));
  }
  EXPECT_THAT(Ask("GET /for-all HTTP/1.1"), EndsWith("\r\n\r\nok"));
  EXPECT_THAT(Ask("GET /for-all HTTP/1.1\r\nOrigin: https://app.example"), EndsWith("ok"));
  EXPECT_THAT(Ask("GET /for-all HTTP/1.1\r\nOrigin: https://evil.example"), EndsWith("ORIGIN"));
}

TEST_F(HttpServerTest, APortInUseIsOneLine) {
  HttpServerOptions options;
  options.port = server_->port();
  options.uploads = uploads_.get();
  const auto second = HttpServer::Listen(std::move(options));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr("http 127.0.0.1:"));
}

}  // namespace
}  // namespace lipcast::server
