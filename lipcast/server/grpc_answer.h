#pragma once

#include <grpcpp/support/server_callback.h>

#include <utility>

#include "lipcast/base/executor.h"
#include "lipcast/server/grpc_messages.h"

namespace lipcast::server {

/// Answers a unary call with the Status that `work` returns, on a thread that may wait.
template <typename Work>
grpc::ServerUnaryReactor* AnswerOn(Executor& slow, grpc::CallbackServerContext* context,
                                   Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  slow.Post(TimePoint{},
            [reactor, work = std::move(work)](int) { reactor->Finish(ToWire(Contain(work))); });
  return reactor;
}

}  // namespace lipcast::server
