#include "lipcast/server/http_gate.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace lipcast::server {

void HttpGate::Post(std::function<void()> task) {
  const std::lock_guard lock(mu_);
  if (io_ != nullptr) boost::asio::post(*io_, std::move(task));
}

void HttpGate::Close() {
  const std::lock_guard lock(mu_);
  io_ = nullptr;
}

}  // namespace lipcast::server
