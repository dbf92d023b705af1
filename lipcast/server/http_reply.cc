// The reply a handler holds: it may outlive its connection, and the server.
#include <utility>

#include "lipcast/server/http_connection.h"

namespace lipcast::server {
namespace {

/// A reply as handlers hold it: everything it is told goes to the connection's thread.
class GatedReply final : public HttpReply {
 public:
  GatedReply(std::shared_ptr<HttpGate> gate, std::weak_ptr<HttpConnection> connection)
      : gate_(std::move(gate)), connection_(std::move(connection)) {}
  ~GatedReply() override {
    if (state_ == State::kOpen) {
      Send(FailureAnswer(Status(Code::kInternal, "internal: a handler without an answer")));
    } else if (state_ == State::kStream) {
      Tell([](HttpConnection& one) { one.BreakOff(); });
    }
  }

  void Send(HttpAnswer answer) override {
    if (std::exchange(state_, State::kDone) != State::kOpen) return;
    Tell(
        [answer = std::move(answer)](HttpConnection& one) mutable { one.Send(std::move(answer)); });
  }
  void Begin(HttpAnswer head, Stream stream) override {
    if (std::exchange(state_, State::kStream) != State::kOpen) return;
    Tell([head = std::move(head), stream = std::move(stream)](HttpConnection& one) mutable {
      one.Begin(std::move(head), std::move(stream));
    });
  }
  void Write(std::string piece) override {
    Tell([piece = std::move(piece)](HttpConnection& one) mutable {
      one.WritePiece(std::move(piece));
    });
  }
  void End() override {
    if (std::exchange(state_, State::kDone) != State::kStream) return;
    Tell([](HttpConnection& one) { one.End(); });
  }

 private:
  enum class State { kOpen, kStream, kDone };

  template <typename Task>
  void Tell(Task task) {
    gate_->Post([connection = connection_, task = std::move(task)]() mutable {
      if (const auto one = connection.lock()) task(*one);
    });
  }

  const std::shared_ptr<HttpGate> gate_;
  const std::weak_ptr<HttpConnection> connection_;
  State state_ = State::kOpen;
};

}  // namespace

std::shared_ptr<HttpReply> MakeHttpReply(std::shared_ptr<HttpGate> gate,
                                         std::weak_ptr<HttpConnection> connection) {
  return std::make_shared<GatedReply>(std::move(gate), std::move(connection));
}

}  // namespace lipcast::server
